"""What errors say in English, as data."""

# code: (what is wrong, how we know, what to type)
ERRORS: dict[str, tuple[str, str, str]] = {
    # addresses
    "address-unusable": (
        "{typed} is not an address we can use.",
        "{reason}",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "port-invalid": (
        "{port} is not a port.",
        "A port is a whole number from 1 to 65535, and Ollama's own is 11434.",
        "%ollama_config --base-url http://127.0.0.1:11434\nthe name of a model: %ollama_config --model NAME",
    ),
    "scheme-unsupported": (
        "An address that begins with {scheme}: cannot be used.",
        "Ollama speaks http and https only.",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "address-is-model": (
        "{model} looks like the name of a model, not like an address.",
        "An address is a machine with a port, such as 127.0.0.1:11434.",
        "%ollama_config --model {model}",
    ),
    "password-ambiguous": (
        "The name and password before the @ cannot be told from the address.",
        "There is a space, /, \\, ? or # before the @.",
        "write it inside the name or password as %20, %2F, %5C, %3F or %23",
    ),
    # where the server is, and which model: the table of the diagnosis
    "host-unknown": (
        "The name {host} is unknown.",
        "The name look-up said: {reason}.",
        "check the spelling\nwhere Ollama does answer: %ollama_check",
    ),
    "lookup-failed": (
        "Names cannot be looked up here: {host} was not.",
        "{reason}",
        "switch the network on (Kaggle: Settings → Internet), or give an IP address instead of the name",
    ),
    "address-refused": (
        "Nothing answers at {url}.",
        "{host} refused the connection on port {port}; typed on the machine of this kernel, the first command starts Ollama.",
        "ollama serve\nelsewhere: %ollama_config --base-url http://HOST:11434\nnone: %ollama_config --sandbox",
    ),
    "address-refused-container": (
        "Nothing answers at {url}: in a container that is the container itself.",
        "Refused on {refused}; {signs}.",
        "%ollama_check",
    ),
    "address-refused-wsl": (
        "Nothing answers at {url}: in WSL that is the Linux side, and Ollama may run on Windows.",
        "Refused on {refused}; {signs}.",
        "%ollama_check",
    ),
    "address-refused-remote": (
        "{host} is there, and no Ollama listens to it.",
        "Refused on {refused}: Ollama probably listens on the loopback of that machine only.",
        "%ollama_check",
    ),
    "address-silent": (
        "{url} does not answer.",
        "{reason}",
        "%ollama_check\nelsewhere: %ollama_config --base-url http://HOST:11434",
    ),
    "address-family-refused": (
        "Ollama does not listen on {host}, only on the other kind of address.",
        "Refused on {refused}; {found} answers.",
        "%ollama_check",
    ),
    "address-family-slow": (
        "{host} is slow: the first of its addresses does not answer.",
        "{slow} did not answer at once, {fast} did.",
        "%ollama_config --base-url {url}",
    ),
    "address-is-wildcard": (
        "{host} is an address to listen on, not one to connect to.",
        "0.0.0.0, :: and * mean every address of a machine.",
        "%ollama_config --base-url http://127.0.0.1:{port}",
    ),
    "address-refused-cloud": (
        "Nothing answers at {url}: this kernel runs in the cloud ({place}), where nothing was started yet.",
        "Refused on {refused}; {signs}.",
        '!curl -fsSL https://ollama.com/install.sh | sh\nimport subprocess; subprocess.Popen(["ollama", "serve"])\n!ollama pull llama3.2',
    ),
    "address-refused-hub": (
        "Nothing answers at {url}: this kernel runs on a remote machine, and Ollama may run on yours.",
        "Refused on {refused}; {signs}.",
        "on your machine: ssh -N -R 11434:127.0.0.1:11434 USER@SERVER\nor here: ollama serve",
    ),
    "connection-broken": (
        "The connection to {url} broke.",
        "{reason}",
        "%ollama_check",
    ),
    "not-http": (
        "What listens at {url} does not speak HTTP.",
        "It said: {said}",
        "ask for the port of Ollama on {host}; its own is 11434",
    ),
    "https-to-http": (
        "No secure connection to {url}: it speaks plain http.",
        "The TLS library said: {reason}.",
        "use http:// instead of https://, as plain Ollama does",
    ),
    "http-to-https": (
        "{url} speaks https, not http.",
        "It said: {said}",
        "use https:// instead of http://",
    ),
    "certificate-rejected": (
        "The certificate of {url} is not accepted.",
        "{reason}",
        "{trust}",
    ),
    "tls-failed": (
        "The secure connection to {url} was not completed.",
        "{reason}",
        "ask who stands in between (a proxy that reads TLS, a wrong port), and try without it",
    ),
    "proxy-answered": (
        "The proxy answered instead of {host}.",
        "{proxy} answered {status} with {said}.",
        "NO_PROXY=localhost,127.0.0.1,::1,{host}\nset it before the kernel starts; it is read by the kernel",
    ),
    "proxy-failed": (
        "The proxy between this kernel and {url} failed.",
        "{reason}",
        "take the host out of the proxy: NO_PROXY={host}",
    ),
    "proxy-refused": (
        "The proxy does not let us through to {url}.",
        "{reason}",
        "give the proxy its name and password (HTTPS_PROXY=http://NAME:PASSWORD@PROXY), or: NO_PROXY={host}",
    ),
    "proxy-settings-unusable": (
        "The proxy or certificate settings of this kernel cannot be used.",
        "{reason}",
        "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE",
    ),
    "redirect-refused": (
        "{url} sends us elsewhere, and we do not follow.",
        "It answered {status} with the location {location}.",
        "%ollama_config --base-url ADDRESS (the one where Ollama itself listens)",
    ),
    "not-ollama": (
        "What answers at {url} is not Ollama.",
        "{reason}",
        "Ollama's own port is 11434; where it answers: %ollama_check",
    ),
    "path-unknown": (
        "{url} knows no path of Ollama's interface.",
        "It answered 404 page not found.",
        "leave out what follows the port (/v1, /api), or upgrade a very old Ollama",
    ),
    "sign-in-required": (
        "Ollama on {host} is not signed in, and the model runs in the cloud.",
        "It gave a link to sign in: {link}",
        "on the machine of the server: ollama signin",
    ),
    "authentication-required": (
        "Something before Ollama at {url} asks who we are.",
        "It answered {status}: {asked}",
        "write name and password into the address: --base-url http://NAME:PASSWORD@HOST, or ask for a key",
    ),
    "host-header-refused": (
        "Ollama at {url} refuses the name {host}.",
        "It answered 403 without a word: listening on its own machine only, it accepts local names.",
        'use its IP address, or let the tunnel send the header Host: localhost:11434\nngrok http 11434 --host-header="localhost:11434"\ncloudflared tunnel --url http://localhost:11434 --http-host-header="localhost:11434"\nnginx: proxy_set_header Host localhost:11434;',
    ),
    "cloud-disabled": (
        "Ollama on {host} does not use models in the cloud.",
        "It said: {said}",
        "unset OLLAMA_NO_CLOUD there (or the setting in server.json), or use a local model",
    ),
    "cloud-key-required": (
        "ollama.com wants a key.",
        "It said: {said}",
        "make one at https://ollama.com/settings/keys, then set OLLAMA_API_KEY before the kernel starts",
    ),
    "server-silent": (
        "{url} accepted the request and then said nothing.",
        "No answer within {seconds} s.",
        "%ollama_check\na large model may need longer: %ollama_config --first-token-timeout 1200",
    ),
    "model-loading": (
        "{model} is still being loaded; that is no error.",
        "The server answers, and {model} is not in its memory yet after {seconds} s.",
        "stop at any time; OLLAMA_LOAD_TIMEOUT on the server limits it, a keep-alive of 1h saves the next load",
    ),
    "gateway-failed": (
        "Something between us and Ollama at {url} gave up.",
        "It answered {status} with {said}.",
        "nginx: proxy_read_timeout 600s; proxy_buffering off;\nor go around it: ssh -N -L 11434:127.0.0.1:11434 USER@SERVER",
    ),
    "server-busy": (
        "The server is busy.",
        "It said: {said}",
        "wait for the requests before this one, and run the cell again",
    ),
    "server-too-old": (
        "Ollama {version} on {host} is too old.",
        "Before 0.12.6 the server cuts long prompts without a word.",
        "upgrade Ollama there, then run the cell again",
    ),
    "model-missing": (
        "{model} is not installed on {host}.",
        "{installed}",
        "ollama pull {model}{nearest}",
    ),
    "no-model-able": (
        "No installed model on {host} can do this: {ability}.",
        "{installed}",
        "{pull}",
    ),
    "model-wrong-type": (
        "{model} does not do this: {ability}.",
        "The server lists its capabilities as: {capabilities}.",
        "choose another with -m; {installed}",
    ),
    "model-not-able": (
        "{model} does not do this: {ability}.",
        "The server lists its capabilities as: {capabilities}.",
        "choose another with -m; {installed}",
    ),
    "context-above-maximum": (
        "The context of {asked} tokens is more than {model} was made for.",
        "The server lists a maximum of {limit}, and uses no more.",
        "%ollama_config --context {limit}",
    ),
    "context-reload": (
        "{model} is loaded with another context, so the next question loads it anew.",
        "It has {loaded} tokens now, the form says {asked}.",
        "%ollama_config --context {loaded}",
    ),
    "model-failed": (
        "The server could not run {model}.",
        "It said: {said}",
        "run the cell again; if it stays: a smaller --context, or a smaller model",
    ),
    "model-needs-newer-server": (
        "{model} needs a newer Ollama.",
        "The server said: {said}",
        "upgrade Ollama there, then run the cell again",
    ),
    "model-on-cpu": (
        "{model} runs on the processor ({share} on the GPU).",
        "The server's list of loaded models says so.",
        "nothing to mend if there is no GPU; else look at the server's log: journalctl -u ollama -n 50",
    ),
    "certificate-not-yet-valid": (
        "The certificate of {url} is not valid yet.",
        "The TLS library said: {said}.",
        "set the clock of this machine right (timedatectl), or ask for a certificate that is valid already",
    ),
    "model-ambiguous": (
        "Several installed models can do this: {ability}.",
        "They are: {models}.",
        "name one: -m {first}\nfor the whole notebook: %ollama_config --model {first}",
    ),
    "vision-blind": (
        "{model} accepts pictures and does not see them.",
        "Asked for the colour of plain pictures it said: {said}.",
        "%ollama_config --vision no, or a model that sees: ollama pull gemma3",
    ),
    "vision-refused": (
        "{model} refuses pictures.",
        "The server said: {said}",
        "%ollama_config --vision no, or a model that sees: ollama pull gemma3",
    ),
    "vectors-useless": (
        "The vectors of {model} are of no use.",
        "{reason}",
        "use a model made for embeddings: ollama pull all-minilm",
    ),
    "tools-unused": (
        "{model} does not call functions.",
        "Asked to use a function it said: {said}",
        "use another model for functions: ollama pull llama3.2",
    ),
    "thinking-unused": (
        "{model} does not show its thoughts.",
        "Asked to think it said at once: {said}",
        "nothing to mend, if you do not need the thoughts",
    ),
    "answer-empty": (
        "{model} answered without a word.",
        "The answer ended with: {reason}",
        "run the check again; if it stays, try another model",
    ),
    "check-stopped": (
        "The check was stopped.",
        "What comes after this was not asked.",
        "%ollama_check --deep",
    ),
    # what the server said
    "request-refused": (
        "The server refused the request ({status}).",
        "It said: {said}",
        "%ollama_check",
    ),
    "answer-unreadable": (
        "The server's answer cannot be read.",
        "{reason}",
        "%ollama_check",
    ),
    "pull-failed": (
        "{model} was not pulled.",
        "{reason}",
        "look the name up at https://ollama.com/library; the network and the disk are those of the server's machine",
    ),
    # answers that are not whole
    "stream-incomplete": (
        "The answer was cut.",
        "The stream ended without its last line, after {characters} characters.",
        "the text so far is in _ollama.text; run the cell again",
    ),
    "model-stuck": (
        "The model got stuck and the server stopped it.",
        'The server ended the answer with "done": false, after {characters} characters.',
        "the text so far is in _ollama.text; try another prompt, a --temperature, or another model",
    ),
    "stream-error": (
        "The server broke off the answer.",
        "After {characters} characters it said: {said}",
        "the text so far is in _ollama.text; run the cell again",
    ),
    "stream-stalled": (
        "The answer stopped coming.",
        "Nothing for {seconds} s, after {characters} characters.",
        "the text so far is in _ollama.text; longer waits: %ollama_config --idle-timeout 600",
    ),
    "stream-unreadable": (
        "The answer broke off with a line that cannot be read.",
        "{reason}",
        "the text so far is in _ollama.text; run the cell again",
    ),
    "context-full": (
        "The answer reached the end of the context.",
        "Prompt and answer took {used} of {limit} tokens, and --strict lets nothing be forgotten.",
        "the text so far is in _ollama.text; more room: --context N, then go on with --continue",
    ),
    # prompts
    "conversation-too-long": (
        "The conversation no longer fits the context of {model}.",
        "With {turns} earlier turns it has about {tokens} tokens, the context {limit}; --strict leaves none out.",
        "leave --strict out, start afresh with --new, or raise it with --context N",
    ),
    "nothing-to-continue": (
        "There is no cut answer to go on with.",
        "{seen}",
        "write a new prompt, without --continue",
    ),
    "continue-with-prompt": (
        "--continue goes on with the cut answer and takes no new prompt.",
        "The text of the cell differs from the prompt that was cut.",
        "leave the cell empty, or leave --continue out",
    ),
    "conversation-unknown": (
        "There is no conversation {name}.",
        "{seen}",
        "%ollama --chat {name} Hello (begins it)",
    ),
    "prompt-too-long": (
        "The prompt is longer than the context of {model}.",
        "{said}",
        "shorten it, start afresh with --new, or raise it with --context N",
    ),
    "prompt-empty": (
        "The prompt is empty.",
        "There is no word in it after the options.",
        "write the prompt into the cell, or: %ollama What is Python?",
    ),
    "name-unknown": (
        "The prompt asks for {{{{{name}}}}}, but the notebook has no {name}.",
        "{nearest}",
        "define {name} first, or write \\{{{{{name}}}}} to send the braces; --no-fill leaves all braces of a cell alone",
    ),
    "value-is-picture": (
        "{{{{{name}}}}} stands for a picture, and a prompt is text.",
        "{name} is of the type {kind}, which the model would read as its name only.",
        "give it beside the prompt: -i {name}",
    ),
    "value-unprintable": (
        "{{{{{name}}}}} stands for a {kind} that gives no text.",
        "Its own code raised {said}.",
        "put a text there: name_of_text = ...",
    ),
    "options-conflict": (
        "{one} and {other} do not go together.",
        "{reason}",
        "leave one of them out",
    ),
    "character-invalid": (
        "The text holds a character that does not exist.",
        "It is one half of a pair (a lone surrogate), which UTF-8 cannot write.",
        'clean it first: text = text.encode("utf-8", "replace").decode()',
    ),
    # embeddings
    "texts-empty": (
        "There is nothing to embed.",
        "The list of texts is empty.",
        'x = %embed ["a text", "another"]',
    ),
    "rows-not-text": (
        "Not every row is a text.",
        "{found}",
        "leave these rows out, or turn them into text first   ·   %embed --on-error nan or skip",
    ),
    "input-not-texts": (
        "{kind} cannot be embedded as it is.",
        "{reason}",
        "{instead}",
    ),
    "vectors-mismatch": (
        "The server's answer does not fit the texts.",
        "{reason}",
        "this answer was not used; run the cell again, and if it stays, try another model",
    ),
    "texts-too-long": (
        "{count} of {total} texts are longer than the model can read.",
        "{found}",
        "all others are kept: shorten or split these   ·   --truncate (cut them)   ·   --on-error nan or skip",
    ),
    "rows-failed": (
        "{count} of {total} rows could not be embedded.",
        "{found}",
        "all others are kept: mend these and run the cell again   ·   --on-error nan or skip",
    ),
    "model-replaced": (
        "{model} was replaced while its vectors were made.",
        "Its digest at {url} was {before} and is {after}.",
        "run the cell again: vectors of two models do not belong into one array",
    ),
    "models-differ": (
        "{model} is not the same model on all servers.",
        "Its digest at {second} differs from that at {first}.",
        "pull the same version on both, or leave one out of --base-url",
    ),
    "batch-differs": (
        "Texts have other vectors alone than in a batch.",
        "Asked again one by one, these differ: {shown}.",
        "--batch 1   ·   another version of Ollama; some have mixed up what they compute at once",
    ),
    # pictures
    "picture-missing": (
        "There is no picture {path}.",
        "{reason}",
        "-i takes the name of a variable, a path, or a pattern such as plots/*.png",
    ),
    "picture-unreadable": (
        "{source} is not a picture that can be read.",
        "{reason}",
        "open it elsewhere and save it as PNG",
    ),
    "picture-too-large": (
        "{source} is too large a picture.",
        "{reason}",
        "make it smaller first",
    ),
    "picture-is-text": (
        "{source} is text, not a picture.",
        "A plain string in a variable is never taken for a path.",
        "if it is one: from pathlib import Path; {source} = Path({source})",
    ),
    "picture-type-unknown": (
        "{source} is not a kind of picture we know.",
        "{reason}",
        "give a Path, bytes, a PIL image, an array (height, width[, 3 or 4]), a figure, or a list of these",
    ),
    "figure-failed": (
        "The figure {source} cannot be drawn.",
        "{reason}",
        "show it in a cell of its own first, and mend what stops it there",
    ),
    # structured answers
    "format-unsupported": (
        "{kind} cannot be asked for: no JSON schema can be made of it.",
        "{reason}.",
        "a dataclass, TypedDict, pydantic model, list[T], Literal or Enum, a dict with a JSON schema, or the word json",
    ),
    "format-class-unknown": (
        "{kind} names a class that cannot be found: {name}.",
        "A class that names itself or another in quotes is looked up at the top level of the notebook.",
        "define {name} in a cell, not inside of a function, and run that cell first",
    ),
    "format-class-twice": (
        "{kind} holds two different classes of one name.",
        "A cell that runs again makes its classes anew, and the others still hold the old ones.",
        "run all cells that define these classes again, from the top",
    ),
    "format-invalid": (
        "{kind} is no format.",
        "After -f stands the word json, or an expression of the notebook that gives a type or a dict.",
        '-f json   ·   -f Person   ·   -f "list[Person]"',
    ),
    "schema-unsupported": (
        "The server cannot make a grammar of this JSON schema.",
        "At {place} it says {said}.",
        "leave that out, or write the type in another way; references look like #/$defs/Name and may not name the root",
    ),
    "object-cut": (
        "The answer was cut at {most} tokens, inside of the object.",
        "After {characters} characters the server gave length as its reason to end.",
        "the text so far is in _ollama.text; raise it with --max-tokens, or ask for less",
    ),
    "object-invalid": (
        "The answer is not what the format asked for.",
        "{reason}",
        "the text is in _ollama.text; run the cell again, say in the prompt what is wanted, or take a larger model",
    ),
    "pandas-missing": (
        "A frame needs pandas, which this environment does not have.",
        "It cannot be imported; .value holds the same without it.",
        "%pip install pandas",
    ),
    "object-missing": (
        "The reply holds no object.",
        "It was asked without a format, or its answer is not whole.",
        "ask with -f json or -f TYPE; the text is in .text",
    ),
    # functions that the model calls
    "tool-unsupported": (
        "{function} cannot be offered to a model.",
        "{reason}",
        'def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    return a + b',
    ),
    "tool-unconfirmed": (
        "The model wants to run {call}, and nobody can be asked.",
        "Nothing was run: this cell has no way to type an answer.",
        "run every call without asking: --yes\nfrom Python: om.chat(prompt, tools=functions, confirm=function), which gets the call and says True or False",
    ),
    "tool-calls-too-many": (
        "The model wants {count} calls at once.",
        "At most {most} are allowed in one round, and none of them was run.",
        "ask for less at a time, or take a larger model",
    ),
    "tool-rounds-too-many": (
        "The model goes on calling functions.",
        "After {most} rounds of calls it still wanted more.",
        "the calls are in _ollama.tool_calls; ask for less at a time, or take a larger model",
    ),
    "tools-need-chat": (
        "Functions can be called in a chat only.",
        "The prompt goes to /api/generate, which knows none.",
        "%ollama_config --type chat, or leave --generate out",
    ),
    # settings
    "setting-invalid": (
        "{value} is no value for {setting}.",
        "{reason}",
        "{example}",
    ),
    "ability-switched-off": (
        "{what} cannot go to this model.",
        "The form says so: {setting} is no.",
        "%ollama_config --{setting} auto",
    ),
    "secret-on-line": (
        "{setting} holds a secret, and a magic line is no place for it.",
        "The line stays in the notebook and in the history of IPython; nothing of it was used.",
        "delete this cell and change the key, then: {instead}",
    ),
    "setting-unknown": (
        "There is no setting {setting}.",
        "The settings are: {known}.",
        "%ollama_config --show",
    ),
    "variable-unknown": (
        "The line takes a value from {name}, but the notebook has no {name}.",
        "$ at the start of a value stands for a name of the notebook.",
        "define {name} first",
    ),
    "profile-name-invalid": (
        "{profile} cannot be the name of a profile.",
        "A name has up to 64 letters, digits, spaces and . _ + -, and begins with a letter or digit.",
        "%ollama_config --save work",
    ),
    "profile-unknown": (
        "There is no profile {profile}.",
        "Saved are: {known}.",
        "%ollama_config --profiles",
    ),
    "profile-unreadable": (
        "The profile {path} cannot be read.",
        "{reason}.",
        "it is kept as {kept}: mend it there, or go on without it and save again",
    ),
    "profile-too-new": (
        "The profile {path} is newer than this version of ollama_magics.",
        "Its format is {version}; it was left as it is, and is not written to.",
        "upgrade ollama_magics, or use another name: %ollama_config --save NAME",
    ),
    "file-unusable": (
        "{path} cannot be used.",
        "{reason}",
        "another folder: set OLLAMA_MAGICS_CONFIG to its full path, before the kernel starts",
    ),
    "profile-invalid": (
        "The profile {path} cannot be used: {name} is wrong.",
        "{reason}",
        "mend that line of it, or: %ollama_config --profiles",
    ),
    "environment-empty": (
        "The environment variable {name} holds nothing.",
        "The form says that a key or a header is in it, and this kernel does not have it.",
        "set it before the kernel starts, or: %ollama_config --api-key",
    ),
    "key-not-stored": (
        "The key cannot be kept there.",
        "{reason}",
        "%pip install keyring\nfor this notebook only: %ollama_config --key-store notebook",
    ),
    "local-only": (
        "This would be sent to {what}, off this machine.",
        "The form or the cell says local-only, so nothing was sent.",
        "a local model, or: %ollama_config --local-only no",
    ),
    "key-not-asked": (
        "A key cannot be asked for here.",
        "{reason}",
        "%ollama_config --api-key-env NAME (the environment variable that holds it)",
    ),
    "picture-not-fetched": (
        "{source} was not fetched.",
        "{reason}",
        "save the picture yourself and give its path: -i picture.png",
    ),
    "picture-is-url": (
        "{source} is an address, and no address is fetched unasked.",
        "Fetching it tells its server that you look at it, and where from.",
        "save the picture and give its path, or: %%ollama --allow-url -i {source}",
    ),
    "recording-no-match": (
        "{method} {route} as it is asked now is not in {path}.",
        "{reason}",
        "run all cells again with a server and without OLLAMA_MAGICS_REPLAY, which records anew",
    ),
    "recording-unreadable": (
        "{path} cannot be replayed.",
        "{reason}",
        "record it first: run all cells with a server and without OLLAMA_MAGICS_REPLAY",
    ),
    "recording-unwritable": (
        "{path} cannot be recorded to.",
        "{reason}",
        "%ollama_config --record ANOTHER.json",
    ),
    "prompt-not-text": (
        "A prompt is text, not {kind}.",
        "Only text can be sent to the model.",
        'om.chat("What is Python?")',
    ),
    "interrupted-batches-kept": (
        "Interrupted; the finished batches are kept: run the cell again, and only the others are asked for.",
        "",
        "",
    ),
    "interrupted-nothing-kept": ("Interrupted; nothing was kept.", "", ""),
    "interrupted-some-kept": ("Interrupted; the store of vectors had trouble, so not all finished batches are kept.", "", ""),
    "interrupted-check": ("Interrupted; the check did not come to its end.", "", ""),
    "interrupted-before-answer": ("Interrupted before the first word.", "", ""),
    "interrupted-answer-kept": ("Interrupted; the text so far is kept in _ollama.", "", ""),
}
