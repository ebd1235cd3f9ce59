"""The taxonomy of types: the class, the group and the media type of every head of a description.

    classify("ELF 64-bit LSB shared object, x86-64")
    Type(group="ELF", class_="executables", mime="application/x-sharedlib")

:data:`TABLE` is the whole of it, and the first match wins. Classes and groups are those of the
studies that this program continues; "other" and "data" are groups like any, so that their share is
seen.
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import NamedTuple

OCTETS = "application/octet-stream"


class Type(NamedTuple):
    """What a head means: group, class, and the media type that `file --mime-type` gives."""

    group: str
    class_: str
    mime: str


CLASSES = (
    "executables",
    "source",
    "scripts",
    "documents",
    "archives",
    "media",
    "databases",
    "other",
)
"""The classes, in the order in which figures show them."""

# [class: group], then a line for each rule: a media type ("-" for octets) and a regular expression
# that must match the head's beginning; the longer word stands before the shorter. Groups may come
# twice: what many rare types have in common (… image, … audio) is asked last.
TABLE = r"""
[other: untyped]
-                                               (untyped|timed out|unreadable by libmagic)$
[other: empty]
inode/x-empty                                   empty$
[other: data]
-                                               (data|very short file \(no magic\))$

[executables: ELF]
application/x-object                            ELF .*\brelocatable
application/x-sharedlib                         ELF .*\bshared object
application/x-coredump                          ELF .*\bcore file
application/x-executable                        ELF .*\bexecutable
-                                               ELF\b
[executables: PE and COFF]
application/vnd.microsoft.portable-executable   PE(32\+?)?\b
application/x-dosexec                           (MS-DOS|DR-DOS|FREE-DOS|DOS|COM) executable
-                                               .*\b[EX]?COFF\b|MSVC program database|Microsoft Roslyn
-                                               Windows Program Information
[executables: Mach-O]
application/x-mach-binary                       Mach-O
[executables: byte-compiled]
application/x-bytecode.python                   Byte-compiled Python|python \S+ byte-compiled|PyPy\S* byte-compiled
application/x-java-applet                       compiled Java class
application/x-java-image                        Java module image
application/x-terminfo2                         Compiled 32-bit terminfo
application/x-terminfo                          Compiled terminfo
application/x-elc                               Emacs(?! RMAIL)
application/wasm                                WebAssembly
-                                               Erlang BEAM|Old Erlang BEAM|Erlang JAM|LLVM (IR )?bitcode
-                                               LLVM byte-codes|Lua bytecode|LuaJIT|OCaml
-                                               Dalvik dex|Android (vdex|binary XML)|Guile Object|CLISP byte-compiled
-                                               compiled Lisp|QV4 compiled|Hermes JavaScript
-                                               .*\b(bytecode|byte-code|byte-compiled)\b|Khronos SPIR-V
-                                               AppleScript compiled|Device Tree Blob|xkb|Compiled XKB
[executables: libraries]
application/x-archive                           (current|thin|old|very old|MIPS|System V) .*archive
application/x-archive                           (current|thin) ar archive|old 16-bit-int .*archive
text/plain                                      libtool library
application/x-java-jmod                         Java jmod
-                                               .*\b(shared|dynamic load|shared pic|relocatable) library|ld\.so hints
[executables: packages]
application/vnd.debian.binary-package           Debian binary package|part of multipart Debian
application/x-rpm                               RPM|Delta RPM
application/vnd.gentoo.xpak                     Gentoo binary package
application/vnd.gentoo.gpkg                     Gentoo GLEP
application/x-svr4-package                      pkg Datastream
-                                               Symbian installation|iOS App|Google Chrome extension|Newton package
[executables: precompiled headers]
-                                               GCC precompiled header|Clang (precompiled|AST)
-                                               Microsoft Visual C .*\.pch

[scripts: Python scripts]
text/x-script.python                            Python script
[scripts: shell scripts]
text/x-shellscript                              (POSIX|Bourne-Again|Korn|C|Tenex C|Plan 9 rc|fish) shell script
text/x-shellscript                              Paul Falstad's zsh|Neil Brown's
text/x-msdos-batch                              DOS batch file
text/x-execline                                 execline script
text/plain                                      a (ash|busybox|elvish|fish|mksh|pdksh|pwsh|nu|rc|scsh|xonsh|yash) script
text/plain                                      a (bats|openrc-run) script|PowerShell|DCL command file
[scripts: Ruby scripts]
text/x-ruby                                     Ruby script|a jruby script
[scripts: Node scripts]
application/javascript                          Node\.js script
text/plain                                      a (bun|coffee|deno|ts-node|tsx|zx|gjs) script
[scripts: Perl scripts]
text/x-perl                                     Perl script
[scripts: PHP scripts]
text/x-php                                      PHP script|Smarty compiled template
[scripts: awk]
text/x-gawk                                     GNU awk script
text/x-nawk                                     new awk script
text/x-awk                                      awk script
text/plain                                      awk or perl script
[scripts: Tcl]
text/x-tcl                                      Tcl(/Tk)? script|expect script
[scripts: m4]
text/x-m4                                       M4 macro processor script|a m4 script|sendmail m4
[scripts: make]
text/x-makefile                                 (BSD |automake )?makefile script|a make script|BSD makefile
[scripts: other scripts]
text/x-lua                                      Lua script
text/x-modulefile                               modulefile
text/plain                                      .*\bscript( text| file)?$

[source: C and C++]
text/x-c++                                      C\+\+ (source|program)
text/x-c                                        C (source|program)|lex description|yacc|bison
text/x-objective-c                              Objective-C source
[source: Perl source]
text/plain                                      Perl5? module source
[source: Ruby source]
text/x-ruby                                     Ruby (module )?source
[source: Pascal]
text/x-pascal                                   Pascal source|Delphi|Borland Delphi
[source: Fortran]
text/x-fortran                                  FORTRAN program
[source: Lisp and Scheme]
text/x-lisp                                     Lisp/Scheme program|MIT scheme|Guile|Common Lisp
text/x-clojure                                  Clojure
[source: assembler]
text/x-asm                                      assembler source|AVR assembler
[source: Java]
text/x-java                                     Java source
text/x-java                                     Jasmin|Kotlin source|Groovy source
[source: Go]
text/x-go                                       Go source
[source: Rust]
text/x-rust                                     Rust source
[source: JavaScript]
application/javascript                          JavaScript source|React Native minified JavaScript|TypeScript
[source: other source]
text/x-diff                                     (unified|context|RCS/CVS) diff output|diff output
text/x-bcpl                                     BCPL source
text/x-forth                                    FORTH program
text/x-Algol68                                  Algol
text/x-R                                        R source
text/vnd.graphviz                               Graphviz
-                                               (.* )?(BASIC|APL|Squeak|Prolog) (program|workspace|data)|Dyalog APL
text/plain                                      .*\b(source code|source|program)( text)?$|SoftQuad|VHDL|Verilog
text/plain                                      magic text file|Kimwitu|Gentoo (ebuild|eclass)

[archives: zip]
application/zip                                 Zip archive|Zip data|Zip multi-volume|Self-extracting PKZIP
application/x-java-pack200                      JAR compressed
-                                               Mozilla archive|Compressed Google KML
[archives: gzip]
application/gzip                                gzip compressed|Blocked GNU Zip
[archives: xz]
application/x-xz                                XZ compressed
application/x-lzma                              LZMA compressed
[archives: bzip2]
application/x-bzip2                             bzip2 compressed
[archives: zstd]
application/zstd                                Zstandard compressed
application/x-std-dictionary                    Zstandard dictionary
[archives: tar]
application/x-tar                               (POSIX |GNU )?tar archive
-                                               GNU tar incremental
[archives: other archives]
application/zlib                                zlib compressed
application/x-lzip                              lzip compressed
application/x-lz4                               LZ4 compressed
application/x-lrzip                             LRZIP compressed
application/x-lzop                              lzop compressed
application/x-compress                          compress'd data
application/x-7z-compressed                     7-zip archive
application/x-rar                               RAR archive
application/x-cpio                              (.* )?cpio archive
application/x-xar                               xar archive
application/vnd.ms-cab-compressed               Microsoft Cabinet
application/x-iso9660-image                     ISO 9660|ISO$|ISO-9660
application/x-snappy-framed                     snappy framed
application/x-git                               Git pack$
-                                               Git (index|bundle|pack index)|Mercurial .*bundle|Bazaar Bundle|Squashfs
-                                               Linux Compressed ROM|shell archive|StuffIt|InstallShield
application/warc                                WARC Archive
-                                               .*\b([Aa]rchive|[Cc]ompressed|[Pp]acked|squeezed|crunched|compacted)\b
-                                               .*\bfilesystem\b|DOS/MBR boot sector|.* [Dd]isk [Ii]mage|.* floppy

[documents: HTML/XML/XHTML]
text/html                                       (broken )?X?HTML document|XHTML
application/xml-sitemap                         XML Sitemap
text/xml                                        (broken )?XML\b|OASIS XML
application/vnd.google-earth.kml+xml            (Google|OpenGIS) KML
text/xml                                        (?!SVG).*\bXML document
[documents: ASCII]
text/plain                                      ASCII text
[documents: UTF-8]
text/plain                                      Unicode text, UTF-8
[documents: ISO-8859]
text/plain                                      ISO-8859 text|Non-ISO extended-ASCII text
[documents: TeX]
text/x-tex                                      LaTeX|TeX document|LyX document|ConTeXt document
text/x-texinfo                                  Texinfo source
text/x-bibtex                                   BibTe[xX]
application/x-dvi                               TeX DVI
text/texmacs                                    TeXmacs
text/plain                                      TeX transcript|Makeindex log|METAFONT transcript
[documents: PostScript and PDF]
application/pdf                                 PDF document
application/vnd.fdf                             FDF document
application/postscript                          PostScript document
image/x-eps                                     DOS EPS Binary
application/vnd.cups-ppd                        PPD file
[documents: Microsoft]
application/vnd.openxmlformats-officedocument.wordprocessingml.document     Microsoft Word 2007\+
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet           Microsoft Excel 2007\+
application/vnd.openxmlformats-officedocument.presentationml.presentation   Microsoft PowerPoint 2007\+
application/x-ole-storage                       Composite Document File V2
text/rtf                                        Rich Text Format
application/vnd.ms-htmlhelp                     MS Windows HtmlHelp
application/msword                              Microsoft (Word|WinWord)
application/vnd.ms-excel                        Microsoft Excel
-                                               Microsoft (OOXML|PowerPoint|Works|Write|Reader|Office|Publisher|Visio)
-                                               Microsoft (Project|Outlook|OneNote)|Pocket Word|MS Windows help
[documents: OpenDocument]
application/vnd.oasis.opendocument.text-template            OpenDocument Text Template
application/vnd.oasis.opendocument.text                     OpenDocument Text
application/vnd.oasis.opendocument.spreadsheet-template     OpenDocument Spreadsheet Template
application/vnd.oasis.opendocument.spreadsheet              OpenDocument Spreadsheet
application/vnd.oasis.opendocument.presentation-template    OpenDocument Presentation Template
application/vnd.oasis.opendocument.presentation             OpenDocument Presentation
application/vnd.oasis.opendocument.graphics-template        OpenDocument Drawing Template
application/vnd.oasis.opendocument.graphics                 OpenDocument Drawing
application/vnd.oasis.opendocument.database                 OpenDocument Database
application/vnd.sun.xml.writer                              OpenOffice\.org 1\.x Writer document
application/vnd.openofficeorg.extension                     OpenOffice/LibreOffice Extension
-                                               OpenDocument|OpenOffice|StarOffice
[documents: JSON]
application/x-ndjson                            New Line Delimited JSON
application/json                                JSON
[documents: CSV]
text/csv                                        CSV
[documents: POD]
text/plain                                      Perl POD
[documents: SGML]
text/plain                                      exported SGML|SGML|A/E SGML
[documents: other documents]
text/plain                                      Unicode text|(International )?EBCDIC|.*\bcharacter data|ReStructuredText
text/plain                                      Linux make config|PLS playlist|M3U playlist
text/troff                                      troff or preprocessor
text/x-info                                     GNU Info
text/calendar                                   vCalendar
text/vcard                                      vCard
text/vtt                                        WebVTT
application/x-subrip                            SubRip
application/epub+zip                           EPUB
message/news                                    news text|saved news
message/rfc822                                  SMTP mail|news or mail|RFC|batched news|(old )?news|mail |mailed
message/rfc822                                  message/rfc822
text/x-ms-regedit                               Windows Registry
text/plain                                      MIME entity|multipart/|Windows Error|MBX mail|MMDF mailbox
application/x-setupscript                       Windows setup INFormation
application/x-mswinurl                          MS Windows 95 Internet shortcut
application/x-wine-extension-ini                Generic INItialization
application/x-kdelnk                            KDE (config|desktop)
-                                               WordPerfect|FrameMaker|T602|Hangul|DjVu|Lotus|.*Quark|Data Interchange
application/vnd.hp-HPGL                         Hewlett-Packard Graphics
text/plain                                      Ansible Vault|JAR (Manifest|Signature)|Exuberant Ctags
text/plain                                      Linux Software Map|magic text|Vim swap|cscope reference

[media: PNG]
image/png                                       PNG image
[media: JPEG]
image/jpeg                                      JPEG image
image/jxl                                       JPEG XL
image/jp2                                       JPEG 2000|ISO Media, JPEG 2000
-                                               JPEG-
[media: SVG]
image/svg+xml                                   SVG
[media: GIF]
image/gif                                       GIF image
[media: TIFF]
image/tiff                                      (Big )?TIFF image
[media: WebP]
image/webp                                      RIFF \(little-endian\) data, Web/P
[media: icons]
image/vnd.microsoft.icon                        MS Windows (icon|cursor)
image/x-icns                                    Mac OS X icon
-                                               X11 cursor|Xcursor|OS/2 .*(icon|pointer)|.* icon\b
[media: other media]
image/avif                                      ISO Media, AVIF
image/heic                                      ISO Media, HEIF
[media: audio]
audio/x-wav                                     RIFF \(little-endian\) data, WAVE|MBWF/RF64
audio/mpeg                                      MPEG ADTS, layer|Audio file with ID3
audio/ogg                                       Ogg data, (Vorbis|Opus|FLAC|Speex)
audio/flac                                      FLAC
audio/basic                                     Sun/NeXT audio
audio/x-aiff                                    IFF data, AIFF
audio/midi                                      Standard MIDI
audio/x-m4a                                     ISO Media, Apple iTunes ALAC
audio/x-hx-aac-adts                             MPEG ADTS, AAC
-                                               MPEG ADIF|MPEG-4 LOAS
audio/x-mod                                     .*\b[Mm]odule sound data
audio/x-unknown                                 Creative Labs voice|SoundBlaster|Creative Music
[media: video]
video/webm                                      WebM
video/x-matroska                                Matroska
video/x-msvideo                                 RIFF \(little-endian\) data, AVI
video/quicktime                                 ISO Media, Apple QuickTime|Apple QuickTime
video/mp4                                       ISO Media
video/ogg                                       Ogg data, (Theora|OGM|Skeleton)
application/ogg                                 Ogg data
video/mpeg                                      MPEG
video/MP2T                                      (BDAV )?MPEG.* [Tt]ransport [Ss]tream
video/x-ms-asf                                  Microsoft ASF
video/x-flv                                     Macromedia Flash Video
application/vnd.adobe.flash.movie               Macromedia Flash
-                                               .*\b([Vv]ideo|[Mm]ovie|[Aa]nimation|multimedia|Multimedia)\b|RealMedia
-                                               Material exchange
[media: other media]
image/bmp                                       PC bitmap
image/x-portable-anymap                         Netpbm
image/vnd.adobe.photoshop                       Adobe Photoshop Image|Adobe Photoshop$
application/x-adobe-aco                         Adobe Photoshop Color
image/x-xcf                                     GIMP XCF
image/x-gimp-gbr                                GIMP brush
image/x-gimp-gih                                GIMP animated brush
image/x-gimp-pat                                GIMP pattern
text/x-gimp-ggr                                 GIMP gradient
text/x-gimp-gpl                                 GIMP palette
text/plain                                      xbm image|KiCad
image/x-xpixmap                                 X pixmap image
application/vnd.iccprofile                      ColorSync|Kodak Color|ICC|Microsoft color profile
image/vnd.dxf                                   AutoCAD Drawing Exchange
image/vnd.dwg                                   DWG
image/wmf                                       Windows metafile
image/emf                                       Windows Enhanced Metafile
image/x-exr                                     OpenEXR
image/fits                                      FITS
application/dicom                               DICOM
model/gltf-binary                               glTF
-                                               (RIFF|RIFX|IFF) |RIFF|Khronos|PCX|.*\b(CAD|KiCad)\b|KiCad|Blender3D
-                                               COLLADA|3D Studio|VRML|X3D|StarOffice Gallery

[databases: SQLite]
application/vnd.sqlite3                         SQLite
[databases: Berkeley DB]
application/x-dbm                               Berkeley DB
[databases: dBase]
application/x-dbf                               FoxBase|dBase|xBase|DBase|FoxPro
[databases: NDBM]
application/x-gdbm                              GNU dbm
-                                               .*\bndbm\b|mdbm
[databases: other databases]
application/x-netcdf                            NetCDF
application/x-hdf5                              Hierarchical Data
application/x-matlab-data                       Matlab v
application/x-msaccess                          Microsoft Access
application/x-ms-ese                            Extensible storage
-                                               (MySQL|PostgreSQL|Redis|RRDTool|LevelDB|TDB|Tokyo ?Cabinet|H2)\b
-                                               (Apache (Parquet|ORC|Avro|Hive|Hadoop)|GVariant|G-IR|ROOT|SPSS|SAS)\b
-                                               (Stata|Zope)\b
-                                               NumPy|R serialized|python pickle|perl Storable|Java serialization
-                                               ESRI Shapefile|Octave binary|MARC21|Cracklib|Metastore|SE Linux|Cyrus
-                                               Lotus 1-2-3
-                                               .*\b([Dd]atabase|DataBase|DB)\b|locale archive|GNU prof|LLVM .*profile
-                                               GCC gc(da|no)|pcap(ng)? |.* capture file

[other: fonts]
font/woff2                                      Web Open Font Format \(Version 2\)
font/woff                                       Web Open Font
font/sfnt                                       TrueType
application/vnd.ms-opentype                     OpenType
application/vnd.ms-fontobject                   Embedded OpenType
application/x-tex-tfm                           TeX font metric
text/plain                                      ASCII font metrics
application/x-font-pf2                          GRUB2 font
application/x-font-pfm                          Printer Font Metrics
application/x-font-sfn                          X11 SNF
application/vnd.font-fontforge-sfd              Spline Font
-                                               .*\b([Ff]ont|FIGlet|OpenFont)\b
[other: certificates and keys]
text/plain                                      PEM |RFC1421|OpenSSH .*key
application/pgp-keys                            OpenPGP (Public|Secret) Key|PGP (public|private) key
application/pgp-signature                       PGP signature|OpenPGP Signature
application/pgp-encrypted                       PGP message
text/PGP                                        PGP (signed|encrypted)|GPG encrypted
application/x-java-keystore                     Java KeyStore
application/x-java-jce-keystore                 Java JCE KeyStore
application/x-putty-private-key                 PuTTY
-                                               .*\b([Cc]ertificate|[Pp]rivate [Kk]ey|[Kk]ey[Ss]tore|[Kk]eyring)\b
-                                               .*\b(keybox|Keytab|Keychain)\b|PGP|OpenPGP|GPG key|age encrypted|LUKS
-                                               openssl enc
[other: message catalogues]
application/x-gettext-translation               GNU message catalog
text/x-po                                       GNU gettext
-                                               .*\bmessage catalog|Qt Translation|catalog translation|glibc locale
-                                               Citrus locale|locale data
[other: time zones]
-                                               (old )?timezone data

[executables: other executables]
application/x-raspberry-eeprom                  Raspberry PI EEPROM
-                                               .*\b([Ee]xecutable|object|relocatable|a\.out|b\.out|x\.out)\b
-                                               .*\b([Cc]ore (file|dump)|demand paged|pure|[Kk]ernel|[Ff]irmware)\b
-                                               .*\b(bootloader|[Bb]oot|[Ll]oader|microcode|BIOS|driver)\b
[media: other media]
-                                               .*\b([Ii]mages?|[Bb]itmap|[Pp]icture|raster|[Rr]aster|[Tt]exture)\b
-                                               .*\b([Gg]raphics?|[Dd]rawing|[Mm]etafile|3[dD] model|[Mm]odel)\b
-                                               .*\b(screenshot)\b
[media: audio]
-                                               .*\b([Aa]udio|[Ss]ound|[Mm]usic|[Ss]ong|[Ii]nstrument|[Mm]odule)\b
-                                               .*\b(sidtune|Tracker|[Tt]une|voice|Ringtone)\b
[documents: other documents]
text/plain                                      .*\b(document|e-book|ebook|text)( text| file| data)?$
[archives: other archives]
-                                               .*\b([Bb]ackup|[Dd]ump|Filesystem|[Dd]isk|[Tt]ape|[Ss]wap file)\b
-                                               .*\b([Vv]olume)\b
[other: other]
-                                               .*
"""


_OPERATORS = re.compile(r"[\\.^$*+?{}\[\]()]")
"""What makes a pattern more than words with `|` between them."""


class Rule:
    """A line of the table: a pattern for the beginning of a head, and what such a head means.

    Two thirds of the patterns are words, which need no regular expression. The others are compiled
    when a head gets as far: all of them take longer than a small image.
    """

    def __init__(self, pattern: str, type_: Type) -> None:
        self.pattern = pattern
        self.type = type_

    @cached_property
    def _words(self) -> tuple[str, ...]:
        """The words one of which a head begins with; none if the pattern is not made of words."""
        return () if _OPERATORS.search(self.pattern) else tuple(self.pattern.split("|"))

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def matches(self, head: str) -> bool:
        """Tell whether a head is of this type, unless an earlier rule matches it too."""
        if self._words:
            return head.startswith(self._words)
        return self._compiled.match(head) is not None


def _parse(table: str) -> tuple[Rule, ...]:
    """Read a table: a rule for each line that isn't a heading."""
    rules = []
    class_ = ""
    group = ""
    for line in table.strip().splitlines():
        if line.startswith("["):
            class_, _, group = line.strip("[]").partition(": ")
        elif line:
            mime, pattern = line.split(None, 1)
            rules.append(Rule(pattern, Type(group, class_, OCTETS if mime == "-" else mime)))
    return tuple(rules)


RULES = _parse(TABLE)
"""The rules of the table, in order."""

GROUPS = tuple(dict.fromkeys((rule.type.class_, rule.type.group) for rule in RULES))
"""All pairs of class and group, in the order of the table. Group names are unique."""


@lru_cache(maxsize=1 << 14)
def classify(head: str) -> Type:
    """Return the group, class and media type of a head, or of a type that the program gives itself.

    :param head: what :func:`~.heads.head_of` gives, or one of `shared_table.FIXED`.

    >>> classify("ELF 64-bit LSB shared object, x86-64")
    Type(group='ELF', class_='executables', mime='application/x-sharedlib')
    """
    return next(rule.type for rule in RULES if rule.matches(head))
