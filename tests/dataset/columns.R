# Print every value of datasets of an HDF5 file, a line a dataset: its name, and the values in order.
#
#   Rscript columns.R hdf5r|rhdf5 FILE.h5 FILE-OF-NAMES
#
# Numbers are decimal, or words of enums; strings are the hexadecimal digits of their bytes. The
# rows of two-dimensional datasets follow one another.
options(warn = 2)
suppressPackageStartupMessages(library(bit64))
arguments <- commandArgs(trailingOnly = TRUE)

text_of <- function(values) {
    if (is.factor(values))
        return(as.character(values))
    if (is.character(values))
        return(vapply(values, function(one) paste(charToRaw(one), collapse = ""), ""))
    if (is.integer64(values))
        return(as.character(values))
    sprintf("%.17g", as.double(values))
}

show <- function(name, values) cat(paste(c(name, text_of(values)), collapse = " "), "\n")

names <- readLines(arguments[3])
if (arguments[1] == "rhdf5") {
    suppressPackageStartupMessages(library(rhdf5))
    for (name in names) show(name, h5read(arguments[2], name, bit64conversion = "bit64"))
} else {
    suppressPackageStartupMessages(library(hdf5r))
    file <- H5File$new(arguments[2], mode = "r")
    for (name in names) show(name, file[[name]]$read(drop = FALSE))
    file$close_all()
}
