"""RabbitMQ's own command-line tools, asked many things at once.

Each call of one boots an Erlang machine, for a second or more. Here one of them is booted and runs the commands one after
the other by its own code, as `main` would.
"""

import base64
import json
import os
import shlex
import subprocess
from types import SimpleNamespace

from support.rabbitmq import SCRIPTS

# Runs every list of words, and prints for each: exit code, output and error text, the two in base64.
ELIXIR = """
run = fn args ->
  {:ok, out} = StringIO.open("")
  parent = self()
  spawn(fn ->
    Process.group_leader(self(), out)
    result = RabbitMQCtl.exec_command(args, fn output, command, options ->
      formatter = RabbitMQ.CLI.Core.Config.get_formatter(command, options)
      printer = RabbitMQ.CLI.Core.Config.get_printer(command, options)
      formatted = RabbitMQ.CLI.Core.Output.format_output(output, formatter, options)
      RabbitMQ.CLI.Core.Output.print_output(formatted, printer, options)
      formatted
    end)
    send(parent, {:result, result})
  end)
  {code, error} = receive do
    {:result, {:error, code, nil}} -> {code, ""}
    {:result, {:error, code, text}} -> {code, IO.iodata_to_binary([text, "\\n"])}
    {:result, _} -> {0, ""}
  after 30000 -> {255, "no answer"}
  end
  {_, text} = StringIO.contents(out)
  IO.puts("answer " <> Integer.to_string(code) <> " " <> Base.encode64(text) <> "," <> Base.encode64(error))
end
LINES |> Enum.each(run)
"""


def ask(broker, lines):
    """What the tools answer to each line, in order: code, out, err."""
    node = broker.env["RABBITMQ_NODENAME"]
    words = []
    for line in lines:
        program, *args = shlex.split(line)
        words.append(["--script-name", program, "-n", node, *args])
    assert "#{" not in json.dumps(words)        # JSON's strings are Elixir's but for that
    text = json.dumps(words, ensure_ascii=False)
    done = subprocess.run([os.path.join(SCRIPTS, "rabbitmqctl"), "exec", ELIXIR.replace("LINES", text)], env=broker.env,
                          cwd=broker.dir, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    answers = []
    for line in done.stdout.splitlines():
        if line.startswith("answer "):
            _, code, encoded = line.split(" ")
            out, err = (base64.b64decode(part).decode() for part in encoded.split(","))
            answers.append(SimpleNamespace(code=int(code), out=out, err=err))
    # `exec` of this version evaluates what it is given once to see whether it can, and once more.
    assert len(answers) in (len(lines), 2 * len(lines)), done.stdout + done.stderr
    return answers[:len(lines)]
