# cmake -D IN=<file> -D OUT=<file.c> -D SYMBOL=<name> -P embed.cmake: see LvEmbed.cmake.
file(READ ${IN} bytes HEX)
file(SIZE ${IN} size)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REPEAT "0x..," 20 row)
string(REGEX REPLACE "(${row})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "extern const unsigned char ${SYMBOL}[];\nextern const unsigned long ${SYMBOL}_bytes;\n"
     "const unsigned long ${SYMBOL}_bytes = ${size};\nconst unsigned char ${SYMBOL}[] = {\n${bytes}\n};\n")
