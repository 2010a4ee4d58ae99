# lv_embed(<target> <file> <symbol>)
#   The bytes of a file as `const unsigned char <symbol>[]`, and `const unsigned long <symbol>_bytes`, in the target.
function(lv_embed target file symbol)
    set(out ${CMAKE_CURRENT_BINARY_DIR}/embedded/${symbol}.c)
    add_custom_command(OUTPUT ${out}
        COMMAND ${CMAKE_COMMAND} -D IN=${file} -D OUT=${out} -D SYMBOL=${symbol}
                -P ${CMAKE_SOURCE_DIR}/cmake/embed.cmake
        DEPENDS ${file} ${CMAKE_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
    target_sources(${target} PRIVATE ${out})
endfunction()
