# Writes OUT, a C file with the texts that kernels are compiled with: PRELUDE, with POLY in its place, and OPTIM.
set(text "/* Made by embed.cmake. */\nextern const char csc_cuda_prelude[], csc_cuda_optim[];\n")
file(READ ${PRELUDE} prelude HEX)
file(READ ${POLY} poly HEX)
file(READ ${OPTIM} optim HEX)
string(REPLACE "2f2a504f4c592a2f" "${poly}" prelude "${prelude}") # /*POLY*/
foreach(name prelude optim)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${${name}}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
  string(APPEND text "const char csc_cuda_${name}[] = {\n${bytes}0};\n")
endforeach()
file(WRITE ${OUT} "${text}")
