# What belongs to `leveret` besides the program: completion for shells, which the program prints itself, and the names of
# RabbitMQ's tools (LV_COMPAT_NAMES), each with its manual page and its completion.

set(names rabbitmqctl rabbitmq-diagnostics rabbitmq-queues rabbitmq-streams rabbitmq-upgrade rabbitmq-plugins rabbitmqadmin)
set(folder ${CMAKE_BINARY_DIR}/completion)
file(MAKE_DIRECTORY ${folder})
add_custom_command(TARGET leveret POST_BUILD VERBATIM
    COMMAND leveret completion bash > ${folder}/leveret
    COMMAND leveret completion zsh > ${folder}/_leveret
    COMMAND leveret completion fish > ${folder}/leveret.fish
    BYPRODUCTS ${folder}/leveret ${folder}/_leveret ${folder}/leveret.fish)
set(bash ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES ${folder}/leveret DESTINATION ${bash})
install(FILES ${folder}/_leveret DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES ${folder}/leveret.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

function(lv_install_link target link)
    install(CODE "file(CREATE_LINK ${target} \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${link}\" SYMBOLIC)")
endfunction()

if(LV_COMPAT_NAMES)
    foreach(name IN LISTS names)
        lv_install_link(leveret ${CMAKE_INSTALL_BINDIR}/${name})
        lv_install_link(leveret ${bash}/${name})
        lv_install_link(leveret.1 ${CMAKE_INSTALL_MANDIR}/man1/${name}.1)
    endforeach()
endif()
