"""libmagic's answers, and the rules it has them from: which of them can match a file at all.

`binding` calls the library, `records` reads its compiled data base, `conditions` and `patterns` say
what a rule needs of a file, `screen` finds the rules whose needs a file meets, `plaintext` words
the answer for text that meets none, and `exact` puts them together. `docs/filetype.md` argues why
nothing changes.
"""
