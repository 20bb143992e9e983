"""Error texts in English."""

# code: (what is wrong, how we know, what to type)
ERRORS: dict[str, tuple[str, str, str]] = {
    # addresses
    "address-unusable": (
        "{typed} is not a usable address.",
        "{reason}",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "port-invalid": (
        "{port} is not a port number.",
        "Ports are whole numbers from 1 to 65535; Ollama's default is 11434.",
        "%ollama_config --base-url http://127.0.0.1:11434\nto set a model: %ollama_config --model NAME",
    ),
    "scheme-unsupported": (
        "Addresses that begin with {scheme}: are not supported.",
        "Ollama uses http and https only.",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "address-is-model": (
        "{model} looks like a model name, not an address.",
        "An address names a machine and a port, such as 127.0.0.1:11434.",
        "%ollama_config --model {model}",
    ),
    "password-ambiguous": (
        "Could not separate user name and password from the address.",
        "There is a space, /, \\, ? or # before the @.",
        "write these characters in the user name or password as %20, %2F, %5C, %3F or %23",
    ),
    # the server, the network between, and the model
    "host-unknown": (
        "Host name {host} not found.",
        "The name look-up returned: {reason}.",
        "check the spelling\nto find where Ollama answers: %ollama_check",
    ),
    "lookup-failed": (
        "Host names cannot be resolved here: {host}.",
        "{reason}",
        "use an IP address instead of the name: %ollama_config --base-url http://192.168.1.20:11434\non Kaggle, turn on Settings → Internet",
    ),
    "address-refused": (
        "Nothing answers at {url}.",
        "{host} refused the connection on port {port}; the first command starts Ollama on the machine of this kernel.",
        "on that machine: ollama serve\nanother server: %ollama_config --base-url http://HOST:11434\nwithout Ollama: %ollama_config --sandbox",
    ),
    "address-refused-container": (
        "Nothing answers at {url}: inside a container, this address is the container itself.",
        "{refused} refused the connection; {evidence}.",
        "%ollama_check",
    ),
    "address-refused-wsl": (
        "Nothing answers at {url}: inside WSL, this address is Linux, and Ollama may run on Windows.",
        "{refused} refused the connection; {evidence}.",
        "%ollama_check",
    ),
    "address-refused-remote": (
        "{host} is reachable, but Ollama does not accept connections there.",
        "{refused} refused the connection: Ollama probably listens on that machine's loopback address only.",
        "%ollama_check",
    ),
    "address-silent": (
        "{url} does not answer.",
        "{reason}",
        "%ollama_check\nanother server: %ollama_config --base-url http://HOST:11434",
    ),
    "address-family-refused": (
        "Ollama does not listen on {host}, only on the other address family (IPv4 or IPv6).",
        "{refused} refused the connection; {found} answers.",
        "%ollama_check",
    ),
    "address-family-slow": (
        "{host} is slow: its first address does not answer.",
        "{slow} did not answer at once, {fast} did.",
        "%ollama_config --base-url {url}",
    ),
    "address-is-wildcard": (
        "{host} is an address to listen on, not to connect to.",
        "0.0.0.0, :: and * stand for all addresses of a machine.",
        "%ollama_config --base-url http://127.0.0.1:{port}",
    ),
    "address-refused-cloud": (
        "Nothing answers at {url}: this kernel runs in the cloud ({place}), where Ollama is not running yet.",
        "{refused} refused the connection; {evidence}.",
        '!curl -fsSL https://ollama.com/install.sh | sh\nimport subprocess; subprocess.Popen(["ollama", "serve"])\n!ollama pull llama3.2',
    ),
    "address-refused-hub": (
        "Nothing answers at {url}: this kernel runs on a remote machine, and Ollama may run on yours.",
        "{refused} refused the connection; {evidence}.",
        "on your machine: ssh -N -R 11434:127.0.0.1:11434 USER@SERVER\nor on this machine: ollama serve",
    ),
    "connection-broken": (
        "The connection to {url} was lost.",
        "{reason}",
        "%ollama_check",
    ),
    "not-http": (
        "The server at {url} does not speak HTTP.",
        "It sent: {said}",
        "Ollama, if it is on that machine: %ollama_config --base-url http://{host}:11434",
    ),
    "https-to-http": (
        "No TLS connection to {url}: the server uses plain http.",
        "The TLS library reported: {reason}.",
        "%ollama_config --base-url {other}",
    ),
    "http-to-https": (
        "{url} uses https, not http.",
        "It said: {said}",
        "%ollama_config --base-url {other}",
    ),
    "certificate-rejected": (
        "The certificate of {url} was rejected.",
        "{reason}",
        "{trust}",
    ),
    "tls-failed": (
        "The TLS connection to {url} failed.",
        "{reason}",
        "without TLS, as Ollama itself: %ollama_config --base-url http://{host}:11434\nwithout a proxy that intercepts TLS: %ollama_config --proxy none",
    ),
    "proxy-answered": (
        "The proxy answered instead of {host}.",
        "{proxy} answered {status}: {said}.",
        "without the proxy: %ollama_config --proxy none\nfor all programs, before the kernel starts: export NO_PROXY={host}",
    ),
    "proxy-failed": (
        "The proxy between this kernel and {url} failed.",
        "{reason}",
        "without the proxy: %ollama_config --proxy none\nanother proxy: %ollama_config --proxy http://HOST:3128",
    ),
    "proxy-refused": (
        "The proxy refused the connection to {url}.",
        "{reason}",
        "without the proxy: %ollama_config --proxy none\nwith a user name and a password:\nimport getpass, urllib.parse; quote = urllib.parse.quote\nproxy = f\"http://{{quote(input('user name: '), '')}}:{{quote(getpass.getpass(), '')}}@HOST:3128\"\n%ollama_config --proxy $proxy",
    ),
    "proxy-settings-unusable": (
        "The proxy or certificate settings of this kernel cannot be used.",
        "{reason}",
        "without a proxy: %ollama_config --proxy none\nor correct HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE in the environment, before the kernel starts",
    ),
    "redirect-refused": (
        "{url} redirects to another address; redirects are not followed.",
        "It answered {status} with location {location}.",
        "the address of Ollama itself: %ollama_config --base-url http://HOST:11434",
    ),
    "not-ollama": (
        "The server at {url} is not Ollama.",
        "{reason}",
        "Ollama's default port is 11434\nto find where it answers: %ollama_check",
    ),
    "path-unknown": (
        "{url} is not the address of the Ollama API.",
        "It answered 404 page not found.",
        "without what follows the port: %ollama_config --base-url {origin}\nif nothing follows it, look for the port of Ollama itself (11434), or upgrade Ollama",
    ),
    "sign-in-required": (
        "Ollama on {host} is not signed in to ollama.com, where this model runs.",
        "{seen}",
        "on that machine: ollama signin",
    ),
    "authentication-required": (
        "{url} requires authentication.",
        "It answered {status}: {asked}",
        "%ollama_config --api-key",
    ),
    "password-required": (
        "{url} requires a user name and a password.",
        "It answered {status}: {asked}",
        "import getpass, urllib.parse; quote = urllib.parse.quote\nurl = f\"{scheme}://{{quote(input('user name: '), '')}}:{{quote(getpass.getpass(), '')}}@{place}\"\n%ollama_config --base-url $url",
    ),
    "key-refused": (
        "{url} refused the key.",
        "A key was sent, and it answered {status}: {asked}",
        "%ollama_config --api-key",
    ),
    "subscription-required": (
        "{model} requires a subscription at ollama.com.",
        "The server said: {said}",
        "another model: %ollama_config --model NAME\nplans: https://ollama.com/upgrade",
    ),
    "host-header-refused": (
        "Ollama at {url} refuses the host name {host}.",
        "It answered 403 with no text: while it listens on loopback only, it accepts local host names only.",
        "use its IP address, or let the tunnel send another Host header:\nngrok http 11434 --host-header=localhost:11434\ncloudflared tunnel --url http://localhost:11434 --http-host-header localhost:11434\nin nginx: proxy_set_header Host localhost:11434;",
    ),
    "cloud-disabled": (
        "Cloud models are disabled on {host}.",
        "It said: {said}",
        "a local model: %ollama_config --model NAME\nto allow the cloud, unset OLLAMA_NO_CLOUD on the server (or the setting in server.json)",
    ),
    "cloud-key-required": (
        "ollama.com requires an API key.",
        "It said: {said}",
        "a key from https://ollama.com/settings/keys: %ollama_config --api-key",
    ),
    "server-silent": (
        "{url} accepted the request but did not answer.",
        "No answer within {seconds} s.",
        "%ollama_check\nif a large model needs longer: %ollama_config --first-token-timeout 1200",
    ),
    "model-loading": (
        "{model} is still loading; this is not an error.",
        "The server answers; after {seconds} s, {model} is not in its memory yet.",
        "wait, or interrupt the cell\nOLLAMA_LOAD_TIMEOUT on the server limits the wait; --keep-alive 1h avoids the next load",
    ),
    "gateway-failed": (
        "A gateway at {url} could not reach Ollama.",
        "It answered {status}: {said}.",
        "on the machine behind it: ollama serve\nto bypass the gateway: ssh -N -L 11434:127.0.0.1:11434 USER@SERVER",
    ),
    "gateway-timeout": (
        "A gateway at {url} did not wait for Ollama's answer.",
        "It answered {status}: {said}.",
        "a longer wait in nginx: proxy_read_timeout 600s; proxy_buffering off;\nto bypass the gateway: ssh -N -L 11434:127.0.0.1:11434 USER@SERVER",
    ),
    "request-too-large": (
        "A gateway at {url} does not accept so large a request.",
        "It answered {status}: {said}.",
        "a higher limit in nginx: client_max_body_size 100m;\nor send smaller or fewer pictures, a shorter prompt, or fewer texts at once (--batch 16)",
    ),
    "usage-limit-reached": (
        "A usage limit of the server is reached.",
        "The server said: {said}",
        "wait until it is renewed, or use a local model: %ollama_config --model NAME",
    ),
    "server-busy": (
        "The server is busy.",
        "It said: {said}",
        "wait for earlier requests to finish, then run the cell again",
    ),
    "server-too-old": (
        "Ollama {version} on {host} is too old.",
        "Before 0.12.6, Ollama truncates long prompts without an error.",
        "to upgrade Ollama on Linux: curl -fsSL https://ollama.com/install.sh | sh\non macOS and Windows, install it again: https://ollama.com/download",
    ),
    "model-missing": (
        "{model} is not installed on {host}.",
        "{installed}",
        "{nearest}%ollama_pull {model}",
    ),
    "no-model-able": (
        "No installed model on {host} supports this: {ability}.",
        "{installed}",
        "{pull}",
    ),
    "only-cloud-models": (
        "Only cloud models are installed on {host}.",
        "They run at ollama.com, where the prompts would go, so none is chosen by itself: {models}.",
        "to use one: %ollama_config --model {first}\nto get a local one: {pull}",
    ),
    "model-wrong-type": (
        "{model} does not support this: {ability}.",
        "The server lists these capabilities: {capabilities}.",
        "{installed}",
    ),
    "model-not-able": (
        "{model} does not support this: {ability}.",
        "The server lists these capabilities: {capabilities}.",
        "{installed}",
    ),
    "context-above-maximum": (
        "A context of {asked} tokens is more than {model} supports.",
        "The server lists a maximum of {limit} tokens and uses no more.",
        "%ollama_config --context {limit}",
    ),
    "context-reload": (
        "{model} is loaded with another context length; the next prompt reloads it.",
        "It is loaded with {loaded} tokens; the setting is {asked}.",
        "%ollama_config --context {loaded}",
    ),
    "model-failed": (
        "The server could not run {model}.",
        "It said: {said}",
        "run the cell again; if it fails again, use a smaller --context or a smaller model",
    ),
    "model-needs-newer-server": (
        "{model} needs a newer Ollama.",
        "The server said: {said}",
        "to upgrade Ollama on Linux: curl -fsSL https://ollama.com/install.sh | sh\non macOS and Windows, install it again: https://ollama.com/download",
    ),
    "model-on-cpu": (
        "{model} runs on the CPU ({share} on the GPU).",
        "The server's list of loaded models says so.",
        "without a GPU this is normal; with one, read the server's log: journalctl -u ollama -n 50",
    ),
    "certificate-not-yet-valid": (
        "The certificate of {url} is not valid yet.",
        "The TLS library reported: {said}.",
        "set the clock of this machine: sudo timedatectl set-ntp true\nor get a certificate that is already valid",
    ),
    "model-ambiguous": (
        "Several installed models support this: {ability}.",
        "They are: {models}.",
        "choose one: -m {first}\nfor the whole notebook: %ollama_config --{setting} {first}",
    ),
    "vision-blind": (
        "{model} accepts pictures but does not see them.",
        "Asked for the colours of plain pictures, it answered: {said}.",
        "%ollama_config --vision no\nto get a vision model: %ollama_pull gemma3",
    ),
    "vision-refused": (
        "{model} refuses pictures.",
        "The server said: {said}",
        "%ollama_config --vision no\nto get a vision model: %ollama_pull gemma3",
    ),
    "vectors-useless": (
        "The vectors of {model} are not usable.",
        "{reason}",
        "use an embedding model: %ollama_pull all-minilm",
    ),
    "tools-unused": (
        "{model} does not call functions.",
        "Asked to call a function, it answered: {said}",
        "use a model that calls functions: %ollama_pull llama3.2",
    ),
    "thinking-unused": (
        "{model} does not return its thoughts.",
        "Asked to think, it answered at once: {said}",
        "nothing to do, unless you need the thoughts",
    ),
    "answer-empty": (
        "{model} returned an empty answer.",
        "The server's reason for the end: {reason}",
        "%ollama_check --deep\nif it fails again, another model: %ollama_config --model NAME",
    ),
    "check-stopped": (
        "The check was stopped.",
        "The stages after this one were not run.",
        "%ollama_check --deep",
    ),
    # what the server answered
    "request-refused": (
        "The server refused the request ({status}).",
        "It said: {said}",
        "%ollama_check",
    ),
    "option-refused": (
        "The server does not take the option {option}.",
        "It said: {said}",
        "leave it out: -O {option}",
    ),
    "schema-refused": (
        "The server cannot use the schema of this answer.",
        "It said: {said}",
        "any object, without a schema: -f json",
    ),
    "answer-unreadable": (
        "The server's answer could not be read.",
        "{reason}",
        "%ollama_check",
    ),
    "pull-failed": (
        "{model} was not pulled.",
        "{reason}",
        "check the name at https://ollama.com/library, and the network and disk of the server",
    ),
    "model-name-invalid": (
        "{model} is not the name of a model.",
        "A name has letters, digits, dots, hyphens and underscores, such as llama3.2, gemma3:4b or hf.co/USER/REPOSITORY.",
        "{nearest}look it up: https://ollama.com/search",
    ),
    "pull-unknown": (
        "There is no model {model} to pull.",
        "{reason}",
        "look it up: https://ollama.com/search",
    ),
    "pull-denied": (
        "The registry does not give {model} to this server.",
        "{reason}",
        "private and gated models need a sign-in and a licence that was accepted: on {host}, ollama signin",
    ),
    "pull-format": (
        "{model} is in a format that Ollama cannot run.",
        "{reason}",
        "choose another repository or quantisation: https://huggingface.co/models?library=gguf",
    ),
    "pull-limited": (
        "The registry limits downloads.",
        "{reason}",
        "some minutes later: %ollama_pull {model}",
    ),
    "pull-no-network": (
        "{host} cannot reach the registry, so {model} was not pulled.",
        "{reason}",
        "check the network and the name server of {host}; behind a proxy, set HTTPS_PROXY where ollama serve runs\nthen: %ollama_pull {model}",
    ),
    "pull-tls": (
        "{host} does not trust the certificate of the registry, so {model} was not pulled.",
        "{reason}",
        "a proxy may replace certificates: add its authority to the system certificates of {host}, and start Ollama again\nthen: %ollama_pull {model}",
    ),
    "pull-proxy": (
        "The proxy of {host} did not let the download of {model} through.",
        "{reason}",
        "check HTTPS_PROXY where ollama serve runs\nthen: %ollama_pull {model}",
    ),
    "pull-disk-full": (
        "There is no space left on {host} for {model}.",
        "{reason}",
        "see what takes space: %ollama_models\ndelete a model: %ollama_rm NAME\nthen go on: %ollama_pull {model}",
    ),
    "pull-not-writable": (
        "Ollama on {host} cannot write into its folder of models.",
        "{reason}",
        "let the user that runs Ollama write there, or set OLLAMA_MODELS to another folder\nthen: %ollama_pull {model}",
    ),
    "pull-digest": (
        "A part of {model} arrived damaged.",
        "{reason}",
        "it is downloaded again with: %ollama_pull {model}",
    ),
    "pull-cancelled": (
        "The download of {model} was cancelled on the server.",
        "{reason}",
        "what was downloaded is kept; go on: %ollama_pull {model}",
    ),
    "pull-interrupted": (
        "The connection of {host} to the registry broke while {model} was pulled.",
        "{reason}",
        "what was downloaded is kept; go on: %ollama_pull {model}",
    ),
    "pull-registry-failed": (
        "The registry failed while {model} was pulled.",
        "{reason}",
        "some minutes later: %ollama_pull {model}",
    ),
    # incomplete answers
    "stream-incomplete": (
        "The answer was cut off.",
        "The stream ended without its last line, after {characters} characters.",
        "the text so far is in _ollama.text; run the cell again",
    ),
    "model-stuck": (
        "The model got stuck, and the server stopped it.",
        "The server ended the answer after {characters} characters. {seen}",
        "the text so far is in _ollama.text; try another prompt, another --temperature or another model",
    ),
    "stream-error": (
        "The server aborted the answer.",
        "After {characters} characters it said: {said}",
        "the text so far is in _ollama.text; run the cell again",
    ),
    "stream-stalled": (
        "The answer stalled.",
        "Nothing arrived for {seconds} s, after {characters} characters.",
        "the text so far is in _ollama.text; to wait longer: %ollama_config --idle-timeout 600",
    ),
    "answer-endless": (
        "The server did not end the answer.",
        "After {characters} characters it still wrote: {most} for an answer of {tokens} tokens.",
        "the text so far is in _ollama.text; try another model, or set a larger --max-tokens N",
    ),
    "stream-unreadable": (
        "The answer was cut off by a line that cannot be read.",
        "{reason}",
        "the text so far is in _ollama.text; run the cell again",
    ),
    "context-full": (
        "The answer reached the end of the context.",
        "Prompt and answer took {used} of {limit} tokens; with --strict nothing is dropped.",
        "the text so far is in _ollama.text; set a larger --context N, then use --continue",
    ),
    # prompts
    "conversation-too-long": (
        "The conversation no longer fits the context of {model}.",
        "With {turns} earlier turns it has about {tokens} tokens; the context has {limit}, and with --strict no turn is left out.",
        "remove --strict, start a new conversation with --new, or set a larger --context N",
    ),
    "left-out": (
        "The model would not get all that was given; nothing was sent, because of --strict.",
        "{notes}",
        "shorten or convert it first, or remove --strict",
    ),
    "nothing-to-continue": (
        "There is no cut answer to continue.",
        "{seen}",
        "write a new prompt, without --continue",
    ),
    "continue-with-prompt": (
        "--continue takes no new prompt.",
        "The text of the cell differs from the prompt whose answer was cut.",
        "empty the cell, or remove --continue",
    ),
    "nothing-to-undo": (
        "There is nothing to undo.",
        "No turn of this conversation was dropped.",
        "to see all conversations: %ollama_history --chats",
    ),
    "conversation-unreadable": (
        "{path} cannot be loaded as a conversation.",
        "{reason} Nothing was changed.",
        "to save a conversation: %ollama_history --save FILE\nto load it: %ollama_history --load FILE",
    ),
    "conversation-unwritable": (
        "The conversation cannot be saved in {path}.",
        "{reason}",
        "use another file: %ollama_history --save FILE",
    ),
    "messages-invalid": (
        "Message {number} cannot be part of a conversation.",
        "{reason}",
        'chat = om.Conversation([{{"role": "user", "content": "Hi"}}, {{"role": "assistant", "content": "Hello"}}])',
    ),
    "conversation-unknown": (
        "There is no conversation {name}.",
        "{seen}",
        "to start it: %ollama --chat {name} Hello",
    ),
    "prompt-too-long": (
        "The prompt is longer than the context of {model}.",
        "{said}",
        "shorten it, start a new conversation with --new, or set a larger --context N",
    ),
    "prompt-empty": (
        "The prompt is empty.",
        "There is no text after the options.",
        "write the prompt into the cell, or: %ollama What is Python?",
    ),
    "rows-without-label": (
        "{count} of {total} texts have no label.",
        "Row {row}: {reason}",
        "the others are kept: fix these and call it again, or use om.map(texts, prompt, labels=labels), which has a column error",
    ),
    "experiment-invalid": (
        "This experiment cannot be made.",
        "{reason}",
        'om.experiment(df, prompts={{"short": "What is it? {{{{text}}}}"}}, models=["a", "b"], labels=[...], truth="kind")',
    ),
    "labels-invalid": (
        "These labels cannot be used.",
        "{reason}",
        '%%ollama --each df --labels praise,complaint,question   or in Python: labels=["praise", "complaint"]',
    ),
    "label-unknown": (
        "The model chose none of the labels.",
        "No letter of a label is among the {count} likeliest tokens of its answer.",
        "describe the labels in the prompt, or choose another model",
    ),
    "labels-need-logprobs": (
        "Labels need log probabilities, which the answer does not have.",
        "{seen}",
        "use a model that runs on this server, and Ollama 0.12.11 or newer; or -f with an Enum of the labels",
    ),
    "labels-need-thinking-off": (
        "{model} always thinks first, so its first token is no label.",
        "Labels are read from the probabilities of the first token.",
        "use a model that answers at once; or -f with an Enum of the labels",
    ),
    "experiment-unknown-run": (
        "The experiment has not exactly one run {name}.",
        "It has: {known}.",
        "name one of them: exp.confusion(model, prompt)",
    ),
    "experiment-no-truth": (
        "The experiment does not know which answers are right.",
        "It was made without a column of true labels, or without --labels.",
        'om.experiment(df, prompts=..., models=..., labels=[...], truth="column")',
    ),
    "experiment-unwritable": (
        "The experiment cannot be saved in {path}.",
        "{reason}",
        'use another file: exp.save("FILE")',
    ),
    "experiment-unreadable": (
        "{path} holds no experiment.",
        "{said}",
        'what exp.save writes is read by: om.Experiment.load("FILE")',
    ),
    "system-name-unknown": (
        "The system prompt contains {{{{{name}}}}}, but the notebook has no {name}.",
        "{nearest}",
        "define {name} first\nto send the braces as text: \\{{{{{name}}}}}, or --no-fill for all braces of the cell",
    ),
    "system-uses-column": (
        "The system prompt contains {{{{{name}}}}}, a column of the data.",
        "It is the same for all rows, so that the server reads it only once.",
        "put {{{{{name}}}}} into the prompt",
    ),
    "name-unknown": (
        "The prompt contains {{{{{name}}}}}, but the notebook has no {name}.",
        "{nearest}",
        "define {name} first\nto send the braces as text: \\{{{{{name}}}}}, or --no-fill for all braces of the cell",
    ),
    "prompt-file-unreadable": (
        "The prompt file {path} cannot be read.",
        "{reason}",
        "the prompt from a file: --prompt-file FILE\nthe system prompt from a file: -s @FILE\na text that begins with @: -s $text",
    ),
    "text-is-path": (
        "{path} is a file, and a system prompt is a text.",
        "The model would get the path and not what is in the file.",
        '%ollama -s @"{path}" …',
    ),
    "name-unassigned": (
        "{name} has no value yet where the line runs.",
        "It is a variable of {function} that was not assigned before, or was deleted.",
        "assign {name} before the line",
    ),
    "name-not-captured": (
        "{name} is a variable of {outer}, which {function} inside of it does not keep.",
        "Python keeps only names that the code of {function} uses, and a prompt or an option is no code.",
        "before the line, in {function}: {name}_here = {name}\nthen use {name}_here instead",
    ),
    "value-part-missing": (
        "{{{{{path}}}}} is not there.",
        "{owner} has no such part ({said}). {nearest}",
        "correct it, or to send the braces as text: \\{{{{{path}}}}}, or --no-fill for all braces of the cell",
    ),
    "expression-in-braces": (
        "{typed} is an expression; in braces stand names, with attributes and constant subscripts.",
        "Nothing in braces is called or calculated.",
        "{name} = {expression}\nthen in the prompt: {{{{{name}}}}}\nto send the braces as text: --no-fill, or a backslash before them",
    ),
    "value-not-text": (
        "{{{{{name}}}}} cannot be sent as text: it is of type {kind}.",
        "{reason}",
        "{line}\nthen in the prompt: {{{{{new}}}}}",
    ),
    "value-is-picture": (
        "{{{{{name}}}}} is a picture, but a prompt is text.",
        "{name} is of type {kind}; the model would read only its name.",
        "send it as a picture: -i {name}",
    ),
    "value-part-is-picture": (
        "{{{{{name}}}}} is a picture, but a prompt is text.",
        "{name} is of type {kind}; the model would read only its name.",
        "{new} = {name}\nthen send it as a picture: -i {new}",
    ),
    "value-unprintable": (
        "{{{{{name}}}}}, of type {kind}, cannot be converted to text.",
        "Its own code raised {said}.",
        "use a text instead: name_of_text = ...",
    ),
    "options-conflict": (
        "{one} and {other} cannot be used together.",
        "{reason}",
        "remove one of them",
    ),
    "character-invalid": (
        "The text contains an invalid character.",
        "It is one half of a surrogate pair, which UTF-8 cannot encode.",
        'replace it first: text = text.encode("utf-8", "replace").decode()',
    ),
    "prompt-is-messages": (
        "A prompt must be text, not a list of messages.",
        "The messages before the last are a conversation.",
        'om.chat(messages[-1]["content"], conversation=om.Conversation(messages[:-1]))',
    ),
    "prompt-not-text": (
        "A prompt must be text, not {kind}.",
        "Only text can be sent to the model.",
        'om.chat("What is Python?")',
    ),
    # embeddings
    "texts-empty": (
        "There is nothing to embed.",
        "The list of texts is empty.",
        'x = %embed ["a text", "another"]',
    ),
    "rows-not-text": (
        "Some rows are not text.",
        "{found}",
        "remove these rows, or convert them to text   ·   %embed --on-error nan or skip",
    ),
    "input-not-texts": (
        "{kind} cannot be embedded directly.",
        "{reason}",
        "{instead}",
    ),
    "vectors-mismatch": (
        "The server's answer does not match the texts.",
        "{reason}",
        "the answer was discarded; run the cell again, and if it fails again, try another model",
    ),
    "texts-too-long": (
        "{count} of {total} texts are longer than the model's context.",
        "{found}",
        "all others are kept: shorten or split these   ·   --truncate (cut them)   ·   --on-error nan or skip",
    ),
    "rows-failed": (
        "{count} of {total} rows could not be embedded.",
        "{found}",
        "all others are kept: fix these and run the cell again   ·   --on-error nan or skip",
    ),
    "model-replaced": (
        "{model} was replaced while its vectors were computed.",
        "Its digest at {url} was {before} and is now {after}.",
        "run the cell again: vectors of two models must not be mixed in one array",
    ),
    "models-differ": (
        "{model} is not the same model on all servers.",
        "Its digest at {second} differs from that at {first}.",
        "pull the same version on both servers, or remove one from --base-url",
    ),
    "batch-differs": (
        "Some texts embed differently alone than in a batch.",
        "Embedded again one by one, these differ: {shown}.",
        "--batch 1   ·   another version of Ollama: some versions mix up the texts of a batch",
    ),
    # pictures
    "picture-missing": (
        "{path} not found.",
        "{reason}",
        "-i takes a variable, a path, or a pattern such as plots/*.png",
    ),
    "picture-unreadable": (
        "{source} is not a readable picture.",
        "{reason}",
        "open it in another program and save it as PNG",
    ),
    "pdf-unreadable": (
        "{source} is not a readable PDF.",
        "{reason}",
        "open it in another program and save or print it as PDF again; a download that broke off: download it again",
    ),
    "sound-unreadable": (
        "{source} is not a readable sound.",
        "{reason}",
        "open it in another program and save it as WAV",
    ),
    "picture-no-file": (
        "{source} cannot be read.",
        "{reason}",
        "-i takes a variable, a path, or a pattern such as plots/*.png",
    ),
    "picture-too-large": (
        "{source} is too large to send.",
        "{reason}",
        "make it smaller, or send a part of it",
    ),
    "page-missing": (
        "{source} has no page {page}.",
        "Number of its pages: {count}.",
        "--pages 1-{count}",
    ),
    "pages-without-document": (
        "Pages were chosen, but nothing that has any.",
        "No picture or document goes with the prompt.",
        "-i report.pdf --pages {pages}",
    ),
    "pages-too-many": (
        "More than {most} pages of {source} were chosen for one prompt.",
        "Each page is a picture, of some hundred tokens.",
        "choose fewer: --pages 1-{most}",
    ),
    "pdf-needs-package": (
        "{source} is a PDF, and pypdfium2, which draws its pages, is not installed.",
        "It could not be imported in this kernel.",
        "%pip install pypdfium2",
    ),
    "pdf-encrypted": (
        "{source} is a PDF that only opens with a password.",
        "Its pages cannot be drawn without it.",
        "open it in another program and save a copy without the password",
    ),
    "sound-format": (
        "{source} is a sound in the format {kind}.",
        "{reason}",
        "save it as WAV with another program, such as ffmpeg",
    ),
    "sound-broken": (
        "{source} is a WAV file that is damaged or incomplete.",
        "It has no format, no samples, or ends before them.",
        "open it in another program and save it as WAV",
    ),
    "picture-is-text": (
        "{source} is text, not a picture.",
        "A string in a variable is never read as a path.",
        "if it is a path: from pathlib import Path; {source} = Path({source})",
    ),
    "picture-type-unknown": (
        "{source} is not a supported type of picture.",
        "{reason}",
        "use a Path, bytes, a PIL image, an array (height, width[, 3 or 4]), a figure, or a list of these",
    ),
    "figure-failed": (
        "The figure {source} could not be drawn.",
        "{reason}",
        "show it in a cell of its own first, and fix the error there",
    ),
    "picture-not-fetched": (
        "The picture {source} was not fetched.",
        "{reason}",
        "save the picture yourself and give its path: -i picture.png",
    ),
    "picture-is-url": (
        "{source} is a web address, which is fetched only with --allow-url.",
        "Fetching it tells its server that you look at it, and from where.",
        "save the picture and give its path: -i picture.png\nor allow it: %%ollama --allow-url -i {source}",
    ),
    # structured answers
    "format-unsupported": (
        "{kind} is not a usable format: it has no JSON schema.",
        "{reason}.",
        "use a dataclass, TypedDict, pydantic model, list[T], Literal or Enum, a dict with a JSON schema, or the word json",
    ),
    "format-class-unknown": (
        "{kind} refers to the class {name}, which was not found.",
        "A class that refers to itself, or to another class in quotes, is looked up at the top level of the notebook.",
        "define {name} in a cell, not inside a function, and run that cell first",
    ),
    "format-invalid": (
        "{kind} is not a format.",
        "-f takes the word json, or an expression that gives a type or a dict.",
        '-f json   ·   -f Person   ·   -f "list[Person]"',
    ),
    "schema-unsupported": (
        "The server cannot use this JSON schema.",
        "At {place} it has {said}, which the server cannot turn into a grammar.",
        "remove that part, or write the type differently; references look like #/$defs/Name and may not name the root",
    ),
    "object-cut": (
        "The object in the answer was cut at {most} tokens.",
        "After {characters} characters the server gave length as its reason to stop.",
        "the text so far is in _ollama.text; raise --max-tokens, or ask for less",
    ),
    "object-invalid": (
        "The answer does not match the format.",
        "{reason}",
        "the text is in _ollama.text; run the cell again, describe the format in the prompt, or use a larger model",
    ),
    "pydantic-missing": (
        "{kind} needs pydantic, which is not installed.",
        "There are constraints of pydantic or annotated-types in it, which only pydantic checks.",
        "%pip install pydantic",
    ),
    "pandas-missing": (
        "A DataFrame needs pandas, which is not installed.",
        "It could not be imported; .value holds the same content.",
        "%pip install pandas",
    ),
    "object-missing": (
        "The reply contains no object.",
        "It was requested without a format, or the answer is incomplete.",
        "ask with -f json or -f TYPE; the text is in .text",
    ),
    # functions that the model calls
    "tool-unsupported": (
        "{function} cannot be offered to a model.",
        "{reason}",
        'def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    return a + b',
    ),
    "tool-unconfirmed": (
        "The model asks to run {call}, but this cell cannot ask you for confirmation.",
        "Nothing was run: the front end has no input for this cell.",
        "to run every call without asking: --yes\nin Python, with a function that gets the call and returns True or False: om.chat(prompt, tools=functions, confirm=function)",
    ),
    "tool-calls-too-many": (
        "The model requested {count} calls at once.",
        "At most {most} are allowed in one round; none was run.",
        "ask for less at a time, or use a larger model",
    ),
    "tool-rounds-too-many": (
        "The model does not stop calling functions.",
        "After {most} rounds it requested more calls.",
        "the calls are in _ollama.tool_calls; ask for less at a time, or use a larger model",
    ),
    "tools-need-chat": (
        "Functions can be called in a chat only.",
        "The prompt goes to /api/generate, which does not support functions.",
        "remove --generate\nor: %ollama_config --type chat",
    ),
    # rows
    "rows-missing": (
        "There are no rows to ask for.",
        "The {kind} is empty.",
        "look at the data before the cell runs: len(data)",
    ),
    "data-not-rows": (
        "{kind} has no rows to ask for.",
        "Rows are those of a data frame, a Series, an Arrow table, a list, or a dict of columns.",
        "{instead}",
    ),
    "columns-unequal": (
        "The columns of the dict have different lengths.",
        "{lengths}",
        "give each column as many values as there are rows",
    ),
    "column-twice": (
        "Several columns of the data are called {name}.",
        "The prompt uses this name, which must be that of one column.",
        "frame = frame.loc[:, ~frame.columns.duplicated()]",
    ),
    "columns-missing": (
        "The data has no column that a prompt can use.",
        "Every row would be asked the same.",
        "look at the data: len(data), list(data)",
    ),
    "column-unknown": (
        "The data has no column {name}, and nothing else has that name.",
        "Its columns: {columns}. {nearest}",
        "use one of these names",
    ),
    "rows-unused": (
        "The prompt uses no column of the data.",
        "Every row would be asked the same.",
        "put one of these into the prompt: {columns}",
    ),
    "row-value-missing": (
        "{name} has no value in this row.",
        "It is {value}; nothing was sent.",
        'leave such rows out, or fill them: frame.dropna() · frame.fillna("")',
    ),
    "row-reply-cut": (
        "The reply was cut at {most} tokens.",
        "It begins: {start}",
        "raise --max-tokens, or ask for a shorter answer",
    ),
    "row-past-context": (
        "The answer ran past the context, and the model lost the beginning of the prompt.",
        "Prompt and answer took {used} of {limit} tokens.",
        "set a larger --context N, or a smaller --max-tokens N",
    ),
    "row-prompt-cut": (
        "The server cut the prompt.",
        "It counted {used} tokens for the prompt, which has more; the context has {limit}.",
        "set a larger --context N, or split the text",
    ),
    "rows-mostly-failed": (
        "{failed} of the first {first} rows failed, so the others were not asked.",
        "{count} of them with {same}: {reason}",
        "try the prompt on one row with %%ollama; then run this cell again with --sample 5",
    ),
    "tools-need-yes": (
        "Functions that the model calls for each row run without a question.",
        "{count} rows would ask many times: {functions}.",
        "%%ollama --each … --yes   ·   om.map(..., confirm=lambda call: True)",
    ),
    "format-is-list": (
        "A list for each row would give several rows for one.",
        "Each row of the data gets one row of the result, in which a list can be the value of a field.",
        'class Answer(TypedDict): items: list[Item]   ·   -f Answer   ·   then out.explode("items")',
    ),
    # settings and profiles
    "setting-invalid": (
        "{value} is not a valid value for {setting}.",
        "{reason}",
        "{example}",
    ),
    "ability-switched-off": (
        "{what} cannot be sent to this model.",
        "The setting {setting} is no.",
        "%ollama_config --{setting} auto",
    ),
    "secret-on-line": (
        "{setting} contains a secret; do not put secrets on a magic line.",
        "The line stays in the notebook and in IPython's history; its values were not used.",
        "delete this cell and change the key, then: {instead}",
    ),
    "setting-unknown": (
        "There is no setting {setting}.",
        "The settings are: {known}.",
        "%ollama_config --show",
    ),
    "variable-unknown": (
        "The line uses ${name}, but the notebook has no {name}.",
        "A value that begins with $ is a variable of the notebook.",
        "define {name} first",
    ),
    "profile-name-invalid": (
        "{profile} is not a valid profile name.",
        "A name has up to 64 letters, digits, spaces and . _ + -, and begins with a letter or digit.",
        "%ollama_config --save work",
    ),
    "profile-unknown": (
        "There is no profile {profile}.",
        "Saved profiles: {known}.",
        "%ollama_config --profiles",
    ),
    "profile-unreadable": (
        "The profile {path} could not be read.",
        "{reason} Nothing is sent, as it may hold settings that forbid it.",
        "fix the file and run the cell again\nreplace it: %ollama_config --save {profile}\nwithout it: %ollama_config --forget {profile}\nanother one: %ollama_config --profile NAME",
    ),
    "profile-too-new": (
        "The profile {path} is newer than this version of ollama_magics.",
        "Its format is {version}. Nothing is sent, as it may hold settings that forbid it.",
        "upgrade ollama_magics\nwithout it: %ollama_config --forget {profile}\nanother one: %ollama_config --profile NAME",
    ),
    "file-unusable": (
        "{path} cannot be used.",
        "{reason}",
        "for another folder, set OLLAMA_MAGICS_CONFIG to its full path before the kernel starts",
    ),
    "profile-invalid": (
        "The profile {path} cannot be used: {name} is invalid.",
        "{reason} Nothing is sent, as the line may forbid it.",
        "fix that line and run the cell again\nreplace the file: %ollama_config --save {profile}\nwithout it: %ollama_config --forget {profile}\nanother one: %ollama_config --profile NAME",
    ),
    "environment-empty": (
        "The environment variable {name} is not set, or is empty.",
        "The settings take a key or a header from it.",
        "set it before the kernel starts, or: %ollama_config --api-key",
    ),
    "key-not-stored": (
        "The key could not be stored.",
        "{reason}",
        "%pip install keyring\nfor this notebook only: %ollama_config --key-store notebook",
    ),
    "key-not-removed": (
        "The stored key for {origin} could not be removed.",
        "{reason}",
        "delete the entry ollama_magics in the keyring of this system",
    ),
    "local-only": (
        "This would be sent to {what}, off this machine.",
        "local-only is set, so nothing was sent.",
        "use a local model, or allow it: %ollama_config --local-only no",
    ),
    "key-not-asked": (
        "The key cannot be typed in here.",
        "{reason}",
        "from an environment variable: %ollama_config --api-key-env NAME",
    ),
    # recordings
    "recording-missing": (
        "There is no recording {path}.",
        "It was looked for in {folder}.",
        "record it first: run all cells with a server and without OLLAMA_MAGICS_REPLAY\nif it is in another folder, run the notebook there: papermill --cwd FOLDER …",
    ),
    "recording-no-match": (
        "{path} has no recording of this request: {method} {route}.",
        "{reason}",
        "to record it again, run all cells with a server and without OLLAMA_MAGICS_REPLAY\nto ask the server in this notebook: %ollama_config --record off",
    ),
    "recording-unreadable": (
        "{path} cannot be replayed.",
        "{reason}",
        "record it first: run all cells with a server and without OLLAMA_MAGICS_REPLAY",
    ),
    "recording-unwritable": (
        "Cannot record to {path}.",
        "{reason}",
        "%ollama_config --record ANOTHER.json",
    ),
    # event loops
    "call-cancelled": (
        "The call was cancelled before it had finished.",
        "The task that waited for it was cancelled, or the session ended.",
        "make the call again: reply = await om.achat(prompt)",
    ),
    "event-loop-unsupported": (
        "om.achat, om.aembed and om.amap need asyncio; {library} runs this code.",
        "No asyncio event loop runs in this thread.",
        'with anyio, run your function on asyncio: anyio.run(main, backend="asyncio")\nunder trio, wait for the other call in a thread: reply = await trio.to_thread.run_sync(lambda: om.chat(prompt))',
    ),
    # interrupts
    "interrupted-batches-kept": ("Interrupted; finished batches are kept. Run the cell again to embed the rest.", "", ""),
    "interrupted-no-batch": ("Interrupted; no batch was finished yet.", "", ""),
    "interrupted-nothing-kept": ("Interrupted; nothing was kept.", "", ""),
    "interrupted-some-kept": ("Interrupted; the vector store failed, so some finished batches were not kept.", "", ""),
    "interrupted-rows-kept": ("Interrupted; finished rows are kept. Run the cell again to ask for the rest.", "", ""),
    "interrupted-rows-not-kept": ("Interrupted; the rows so far were not kept.", "", ""),
    "interrupted-pull": ("Interrupted; what was downloaded is kept. Run the cell again to go on.", "", ""),
    "interrupted-delete": ("Interrupted; nothing was deleted.", "", ""),
    "interrupted-import": ("Interrupted; nothing was imported.", "", ""),
    "interrupted-check": ("Interrupted; the check is incomplete.", "", ""),
    "interrupted-call": ("Interrupted; the call was stopped.", "", ""),
    "interrupted-key": ("Interrupted; the key was not changed.", "", ""),
    "interrupted-before-answer": ("Interrupted before the answer began.", "", ""),
    "interrupted-answer-kept": ("Interrupted; the text so far is in _ollama.", "", ""),
}
