"""What errors say in English, as data."""

# code: (what is wrong, how we know, what to type)
ERRORS: dict[str, tuple[str, str, str]] = {
    # addresses
    "OM-A01": (
        "{typed} is not an address we can use.",
        "{reason}",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "OM-A02": (
        "{port} is not a port.",
        "A port is a whole number from 1 to 65535, and Ollama's own is 11434.",
        "%ollama_config --base-url http://127.0.0.1:11434\nthe name of a model: %ollama_config --model NAME",
    ),
    "OM-A03": (
        "An address that begins with {scheme}: cannot be used.",
        "Ollama speaks http and https only.",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "OM-A04": (
        "{model} looks like the name of a model, not like an address.",
        "An address is a machine with a port, such as 127.0.0.1:11434.",
        "%ollama_config --model {model}",
    ),
    "OM-A05": (
        "The name and password before the @ cannot be told from the address.",
        "There is a space, /, \\, ? or # before the @.",
        "write it inside the name or password as %20, %2F, %5C, %3F or %23",
    ),
    # where the server is, and which model: the table of the diagnosis
    "OM-D01": (
        "The name {host} is unknown.",
        "The name look-up said: {reason}.",
        "check the spelling\nwhere Ollama does answer: %ollama_check",
    ),
    "OM-D02": (
        "Names cannot be looked up here: {host} was not.",
        "{reason}",
        "switch the network on (Kaggle: Settings → Internet), or give an IP address instead of the name",
    ),
    "OM-D03": (
        "Nothing answers at {url}.",
        "{host} refused the connection on port {port}; typed on the machine of this kernel, the first command starts Ollama.",
        "ollama serve\nelsewhere: %ollama_config --base-url http://HOST:11434\nnone: %ollama_config --sandbox",
    ),
    "OM-D04": (
        "Nothing answers at {url}: in a container that is the container itself.",
        "Refused on {refused}; {signs}.",
        "%ollama_check",
    ),
    "OM-D05": (
        "Nothing answers at {url}: in WSL that is the Linux side, and Ollama may run on Windows.",
        "Refused on {refused}; {signs}.",
        "%ollama_check",
    ),
    "OM-D06": (
        "{host} is there, and no Ollama listens to it.",
        "Refused on {refused}: Ollama probably listens on the loopback of that machine only.",
        "%ollama_check",
    ),
    "OM-D07": (
        "{url} does not answer.",
        "{reason}",
        "%ollama_check\nelsewhere: %ollama_config --base-url http://HOST:11434",
    ),
    "OM-D08": (
        "Ollama does not listen on {host}, only on the other kind of address.",
        "Refused on {refused}; {found} answers.",
        "%ollama_check",
    ),
    "OM-D09": (
        "{host} is slow: the first of its addresses does not answer.",
        "{slow} did not answer at once, {fast} did.",
        "%ollama_config --base-url {url}",
    ),
    "OM-D10": (
        "{host} is an address to listen on, not one to connect to.",
        "0.0.0.0, :: and * mean every address of a machine.",
        "%ollama_config --base-url http://127.0.0.1:{port}",
    ),
    "OM-D11": (
        "Nothing answers at {url}: this kernel runs in the cloud ({place}), where nothing was started yet.",
        "Refused on {refused}; {signs}.",
        '!curl -fsSL https://ollama.com/install.sh | sh\nimport subprocess; subprocess.Popen(["ollama", "serve"])\n!ollama pull llama3.2',
    ),
    "OM-D12": (
        "Nothing answers at {url}: this kernel runs on a remote machine, and Ollama may run on yours.",
        "Refused on {refused}; {signs}.",
        "on your machine: ssh -N -R 11434:127.0.0.1:11434 USER@SERVER\nor here: ollama serve",
    ),
    "OM-D13": (
        "The connection to {url} broke.",
        "{reason}",
        "%ollama_check",
    ),
    "OM-D14": (
        "What listens at {url} does not speak HTTP.",
        "It said: {said}",
        "ask for the port of Ollama on {host}; its own is 11434",
    ),
    "OM-D15": (
        "No secure connection to {url}: it speaks plain http.",
        "The TLS library said: {reason}.",
        "use http:// instead of https://, as plain Ollama does",
    ),
    "OM-D16": (
        "{url} speaks https, not http.",
        "It said: {said}",
        "use https:// instead of http://",
    ),
    "OM-D17": (
        "The certificate of {url} is not accepted.",
        "{reason}",
        "{trust}",
    ),
    "OM-D18": (
        "The secure connection to {url} was not completed.",
        "{reason}",
        "ask who stands in between (a proxy that reads TLS, a wrong port), and try without it",
    ),
    "OM-D19": (
        "The proxy answered instead of {host}.",
        "{proxy} answered {status} with {said}.",
        "NO_PROXY=localhost,127.0.0.1,::1,{host}\nset it before the kernel starts; it is read by the kernel",
    ),
    "OM-D20": (
        "The proxy between this kernel and {url} failed.",
        "{reason}",
        "take the host out of the proxy: NO_PROXY={host}",
    ),
    "OM-D21": (
        "The proxy does not let us through to {url}.",
        "{reason}",
        "give the proxy its name and password (HTTPS_PROXY=http://NAME:PASSWORD@PROXY), or: NO_PROXY={host}",
    ),
    "OM-D22": (
        "The proxy or certificate settings of this kernel cannot be used.",
        "{reason}",
        "look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY and SSL_CERT_FILE",
    ),
    "OM-D23": (
        "{url} sends us elsewhere, and we do not follow.",
        "It answered {status} with the location {location}.",
        "%ollama_config --base-url ADDRESS (the one where Ollama itself listens)",
    ),
    "OM-D24": (
        "What answers at {url} is not Ollama.",
        "{reason}",
        "Ollama's own port is 11434; where it answers: %ollama_check",
    ),
    "OM-D25": (
        "{url} knows no path of Ollama's interface.",
        "It answered 404 page not found.",
        "leave out what follows the port (/v1, /api), or upgrade a very old Ollama",
    ),
    "OM-D26": (
        "Ollama on {host} is not signed in, and the model runs in the cloud.",
        "It gave a link to sign in: {link}",
        "on the machine of the server: ollama signin",
    ),
    "OM-D27": (
        "Something before Ollama at {url} asks who we are.",
        "It answered {status}: {asked}",
        "write name and password into the address: --base-url http://NAME:PASSWORD@HOST, or ask for a key",
    ),
    "OM-D28": (
        "Ollama at {url} refuses the name {host}.",
        "It answered 403 without a word: listening on its own machine only, it accepts local names.",
        'use its IP address, or let the tunnel send the header Host: localhost:11434\nngrok http 11434 --host-header="localhost:11434"\ncloudflared tunnel --url http://localhost:11434 --http-host-header="localhost:11434"\nnginx: proxy_set_header Host localhost:11434;',
    ),
    "OM-D29": (
        "Ollama on {host} does not use models in the cloud.",
        "It said: {said}",
        "unset OLLAMA_NO_CLOUD there (or the setting in server.json), or use a local model",
    ),
    "OM-D30": (
        "ollama.com wants a key.",
        "It said: {said}",
        "make one at https://ollama.com/settings/keys, then set OLLAMA_API_KEY before the kernel starts",
    ),
    "OM-D31": (
        "{url} accepted the request and then said nothing.",
        "No answer within {seconds} s.",
        "%ollama_check\na large model may need longer: %ollama_config --first-token-timeout 1200",
    ),
    "OM-D32": (
        "{model} is still being loaded; that is no error.",
        "The server answers, and {model} is not in its memory yet after {seconds} s.",
        "stop at any time; OLLAMA_LOAD_TIMEOUT on the server limits it, a keep-alive of 1h saves the next load",
    ),
    "OM-D33": (
        "Something between us and Ollama at {url} gave up.",
        "It answered {status} with {said}.",
        "nginx: proxy_read_timeout 600s; proxy_buffering off;\nor go around it: ssh -N -L 11434:127.0.0.1:11434 USER@SERVER",
    ),
    "OM-D34": (
        "The server is busy.",
        "It said: {said}",
        "wait for the requests before this one, and run the cell again",
    ),
    "OM-D35": (
        "Ollama {version} on {host} is too old.",
        "Before 0.12.6 the server cuts long prompts without a word.",
        "upgrade Ollama there, then run the cell again",
    ),
    "OM-D36": (
        "{model} is not installed on {host}.",
        "{installed}",
        "ollama pull {model}{nearest}",
    ),
    "OM-D37": (
        "No installed model on {host} can do this: {ability}.",
        "{installed}",
        "{pull}",
    ),
    "OM-D38": (
        "{model} does not do this: {ability}.",
        "The server lists its capabilities as: {capabilities}.",
        "choose another with -m; {installed}",
    ),
    "OM-D39": (
        "{model} does not do this: {ability}.",
        "The server lists its capabilities as: {capabilities}.",
        "choose another with -m; {installed}",
    ),
    "OM-D40": (
        "The context of {asked} tokens is more than {model} was made for.",
        "The server lists a maximum of {limit}, and uses no more.",
        "%ollama_config --context {limit}",
    ),
    "OM-D41": (
        "{model} is loaded with another context, so the next question loads it anew.",
        "It has {loaded} tokens now, the form says {asked}.",
        "%ollama_config --context {loaded}",
    ),
    "OM-D42": (
        "The server could not run {model}.",
        "It said: {said}",
        "run the cell again; if it stays: a smaller --context, or a smaller model",
    ),
    "OM-D43": (
        "{model} needs a newer Ollama.",
        "The server said: {said}",
        "upgrade Ollama there, then run the cell again",
    ),
    "OM-D44": (
        "{model} runs on the processor ({share} on the GPU).",
        "The server's list of loaded models says so.",
        "nothing to mend if there is no GPU; else look at the server's log: journalctl -u ollama -n 50",
    ),
    "OM-D45": (
        "The certificate of {url} is not valid yet.",
        "The TLS library said: {said}.",
        "set the clock of this machine right (timedatectl), or ask for a certificate that is valid already",
    ),
    "OM-M01": (
        "Several installed models can do this: {ability}.",
        "They are: {models}.",
        "name one: -m {first}\nfor the whole notebook: %ollama_config --model {first}",
    ),
    "OM-V01": (
        "{model} accepts pictures and does not see them.",
        "Asked for the colour of plain pictures it said: {said}.",
        "%ollama_config --vision no, or a model that sees: ollama pull gemma3",
    ),
    "OM-V02": (
        "{model} refuses pictures.",
        "The server said: {said}",
        "%ollama_config --vision no, or a model that sees: ollama pull gemma3",
    ),
    "OM-V03": (
        "The vectors of {model} are of no use.",
        "{reason}",
        "use a model made for embeddings: ollama pull all-minilm",
    ),
    "OM-V04": (
        "{model} does not call functions.",
        "Asked to use a function it said: {said}",
        "use another model for functions: ollama pull llama3.2",
    ),
    "OM-V05": (
        "{model} does not show its thoughts.",
        "Asked to think it said at once: {said}",
        "nothing to mend, if you do not need the thoughts",
    ),
    "OM-V06": (
        "{model} answered without a word.",
        "The answer ended with: {reason}",
        "run the check again; if it stays, try another model",
    ),
    "OM-V07": (
        "The check was stopped.",
        "What comes after this was not asked.",
        "%ollama_check --deep",
    ),
    # what the server said
    "OM-R01": (
        "The server refused the request ({status}).",
        "It said: {said}",
        "%ollama_check",
    ),
    "OM-R02": (
        "The server's answer cannot be read.",
        "{reason}",
        "%ollama_check",
    ),
    "OM-R03": (
        "{model} was not pulled.",
        "{reason}",
        "look the name up at https://ollama.com/library; the network and the disk are those of the server's machine",
    ),
    # answers that are not whole
    "OM-C01": (
        "The answer was cut.",
        "The stream ended without its last line, after {characters} characters.",
        "the text so far is in _ollama.text; run the cell again",
    ),
    "OM-C02": (
        "The model got stuck and the server stopped it.",
        'The server ended the answer with "done": false, after {characters} characters.',
        "the text so far is in _ollama.text; try another prompt, a --temperature, or another model",
    ),
    "OM-C03": (
        "The server broke off the answer.",
        "After {characters} characters it said: {said}",
        "the text so far is in _ollama.text; run the cell again",
    ),
    "OM-C04": (
        "The answer stopped coming.",
        "Nothing for {seconds} s, after {characters} characters.",
        "the text so far is in _ollama.text; longer waits: %ollama_config --idle-timeout 600",
    ),
    "OM-C05": (
        "The answer broke off with a line that cannot be read.",
        "{reason}",
        "the text so far is in _ollama.text; run the cell again",
    ),
    "OM-C06": (
        "The answer reached the end of the context.",
        "Prompt and answer took {used} of {limit} tokens, and --strict lets nothing be forgotten.",
        "the text so far is in _ollama.text; more room: --context N, then go on with --continue",
    ),
    # prompts
    "OM-L02": (
        "The conversation no longer fits the context of {model}.",
        "With {turns} earlier turns it has about {tokens} tokens, the context {limit}; --strict leaves none out.",
        "leave --strict out, start afresh with --new, or raise it with --context N",
    ),
    "OM-T05": (
        "There is no cut answer to go on with.",
        "{seen}",
        "write a new prompt, without --continue",
    ),
    "OM-T06": (
        "--continue goes on with the cut answer and takes no new prompt.",
        "The text of the cell differs from the prompt that was cut.",
        "leave the cell empty, or leave --continue out",
    ),
    "OM-T07": (
        "There is no conversation {name}.",
        "{seen}",
        "%ollama --chat {name} Hello (begins it)",
    ),
    "OM-L01": (
        "The prompt is longer than the context of {model}.",
        "{said}",
        "shorten it, start afresh with --new, or raise it with --context N",
    ),
    "OM-T01": (
        "The prompt is empty.",
        "There is no word in it after the options.",
        "write the prompt into the cell, or: %ollama What is Python?",
    ),
    "OM-T02": (
        "The prompt asks for {{{{{name}}}}}, but the notebook has no {name}.",
        "{nearest}",
        "define {name} first, or write \\{{{{{name}}}}} to send the braces; --no-fill leaves all braces of a cell alone",
    ),
    "OM-T08": (
        "{{{{{name}}}}} stands for a picture, and a prompt is text.",
        "{name} is of the type {kind}, which the model would read as its name only.",
        "give it beside the prompt: -i {name}",
    ),
    "OM-T10": (
        "{{{{{name}}}}} stands for a {kind} that gives no text.",
        "Its own code raised {said}.",
        "put a text there: name_of_text = ...",
    ),
    "OM-T09": (
        "{one} and {other} do not go together.",
        "{reason}",
        "leave one of them out",
    ),
    "OM-T04": (
        "The text holds a character that does not exist.",
        "It is one half of a pair (a lone surrogate), which UTF-8 cannot write.",
        'clean it first: text = text.encode("utf-8", "replace").decode()',
    ),
    # embeddings
    "OM-E01": (
        "There is nothing to embed.",
        "The list of texts is empty.",
        'x = %embed ["a text", "another"]',
    ),
    "OM-E02": (
        "Not every row is a text.",
        "{found}",
        "leave these rows out, or turn them into text first   ·   %embed --on-error nan or skip",
    ),
    "OM-E03": (
        "{kind} cannot be embedded as it is.",
        "{reason}",
        "{instead}",
    ),
    "OM-E04": (
        "The server's answer does not fit the texts.",
        "{reason}",
        "this answer was not used; run the cell again, and if it stays, try another model",
    ),
    "OM-E05": (
        "{count} of {total} texts are longer than the model can read.",
        "{found}",
        "all others are kept: shorten or split these   ·   --truncate (cut them)   ·   --on-error nan or skip",
    ),
    "OM-E06": (
        "{count} of {total} rows could not be embedded.",
        "{found}",
        "all others are kept: mend these and run the cell again   ·   --on-error nan or skip",
    ),
    "OM-E07": (
        "{model} was replaced while its vectors were made.",
        "Its digest at {url} was {before} and is {after}.",
        "run the cell again: vectors of two models do not belong into one array",
    ),
    "OM-E08": (
        "{model} is not the same model on all servers.",
        "Its digest at {second} differs from that at {first}.",
        "pull the same version on both, or leave one out of --base-url",
    ),
    "OM-E09": (
        "Texts have other vectors alone than in a batch.",
        "Asked again one by one, these differ: {shown}.",
        "--batch 1   ·   another version of Ollama; some have mixed up what they compute at once",
    ),
    # pictures
    "OM-P01": (
        "There is no picture {path}.",
        "{reason}",
        "-i takes the name of a variable, a path, or a pattern such as plots/*.png",
    ),
    "OM-P02": (
        "{source} is not a picture that can be read.",
        "{reason}",
        "open it elsewhere and save it as PNG",
    ),
    "OM-P03": (
        "{source} is too large a picture.",
        "{reason}",
        "make it smaller first",
    ),
    "OM-P04": (
        "{source} is text, not a picture.",
        "A plain string in a variable is never taken for a path.",
        "if it is one: from pathlib import Path; {source} = Path({source})",
    ),
    "OM-P05": (
        "{source} is not a kind of picture we know.",
        "{reason}",
        "give a Path, bytes, a PIL image, an array (height, width[, 3 or 4]), a figure, or a list of these",
    ),
    "OM-P06": (
        "The figure {source} cannot be drawn.",
        "{reason}",
        "show it in a cell of its own first, and mend what stops it there",
    ),
    # structured answers
    "OM-F01": (
        "{kind} cannot be asked for: no JSON schema can be made of it.",
        "{reason}.",
        "a dataclass, TypedDict, pydantic model, list[T], Literal or Enum, a dict with a JSON schema, or the word json",
    ),
    "OM-F02": (
        "{kind} names a class that cannot be found: {name}.",
        "A class that names itself or another in quotes is looked up at the top level of the notebook.",
        "define {name} in a cell, not inside of a function, and run that cell first",
    ),
    "OM-F03": (
        "{kind} holds two different classes of one name.",
        "A cell that runs again makes its classes anew, and the others still hold the old ones.",
        "run all cells that define these classes again, from the top",
    ),
    "OM-F04": (
        "{kind} is no format.",
        "After -f stands the word json, or an expression of the notebook that gives a type or a dict.",
        '-f json   ·   -f Person   ·   -f "list[Person]"',
    ),
    "OM-F05": (
        "The server cannot make a grammar of this JSON schema.",
        "At {place} it says {said}.",
        "leave that out, or write the type in another way; references look like #/$defs/Name and may not name the root",
    ),
    "OM-F06": (
        "The answer was cut at {most} tokens, inside of the object.",
        "After {characters} characters the server gave length as its reason to end.",
        "the text so far is in _ollama.text; raise it with --max-tokens, or ask for less",
    ),
    "OM-F07": (
        "The answer is not what the format asked for.",
        "{reason}",
        "the text is in _ollama.text; run the cell again, say in the prompt what is wanted, or take a larger model",
    ),
    "OM-F08": (
        "A frame needs pandas, which this environment does not have.",
        "It cannot be imported; .value holds the same without it.",
        "%pip install pandas",
    ),
    "OM-F09": (
        "The reply holds no object.",
        "It was asked without a format, or its answer is not whole.",
        "ask with -f json or -f TYPE; the text is in .text",
    ),
    # functions that the model calls
    "OM-K01": (
        "{function} cannot be offered to a model.",
        "{reason}",
        'def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    return a + b',
    ),
    "OM-K02": (
        "The model wants to run {call}, and nobody can be asked.",
        "Nothing was run: this cell has no way to type an answer.",
        "run every call without asking: --yes\nfrom Python: om.chat(prompt, tools=functions, confirm=function), which gets the call and says True or False",
    ),
    "OM-K03": (
        "The model wants {count} calls at once.",
        "At most {most} are allowed in one round, and none of them was run.",
        "ask for less at a time, or take a larger model",
    ),
    "OM-K04": (
        "The model goes on calling functions.",
        "After {most} rounds of calls it still wanted more.",
        "the calls are in _ollama.tool_calls; ask for less at a time, or take a larger model",
    ),
    "OM-K05": (
        "Functions can be called in a chat only.",
        "The prompt goes to /api/generate, which knows none.",
        "%ollama_config --type chat, or leave --generate out",
    ),
    # settings
    "OM-S01": (
        "{value} is no value for {setting}.",
        "{reason}",
        "{example}",
    ),
    "OM-S15": (
        "{what} cannot go to this model.",
        "The form says so: {setting} is no.",
        "%ollama_config --{setting} auto",
    ),
    "OM-S02": (
        "{setting} holds a secret, and a magic line is no place for it.",
        "The line stays in the notebook and in the history of IPython; nothing of it was used.",
        "delete this cell and change the key, then: {instead}",
    ),
    "OM-S03": (
        "There is no setting {setting}.",
        "The settings are: {known}.",
        "%ollama_config --show",
    ),
    "OM-S04": (
        "The line takes a value from {name}, but the notebook has no {name}.",
        "$ at the start of a value stands for a name of the notebook.",
        "define {name} first",
    ),
    "OM-S05": (
        "{profile} cannot be the name of a profile.",
        "A name has up to 64 letters, digits, spaces and . _ + -, and begins with a letter or digit.",
        "%ollama_config --save work",
    ),
    "OM-S06": (
        "There is no profile {profile}.",
        "Saved are: {known}.",
        "%ollama_config --profiles",
    ),
    "OM-S07": (
        "The profile {path} cannot be read.",
        "{reason}.",
        "it is kept as {kept}: mend it there, or go on without it and save again",
    ),
    "OM-S08": (
        "The profile {path} is newer than this version of ollama_magics.",
        "Its format is {version}; it was left as it is, and is not written to.",
        "upgrade ollama_magics, or use another name: %ollama_config --save NAME",
    ),
    "OM-S09": (
        "{path} cannot be used.",
        "{reason}",
        "another folder: set OLLAMA_MAGICS_CONFIG to its full path, before the kernel starts",
    ),
    "OM-S10": (
        "The profile {path} cannot be used: {name} is wrong.",
        "{reason}",
        "mend that line of it, or: %ollama_config --profiles",
    ),
    "OM-S11": (
        "The environment variable {name} holds nothing.",
        "The form says that a key or a header is in it, and this kernel does not have it.",
        "set it before the kernel starts, or: %ollama_config --api-key",
    ),
    "OM-S12": (
        "The key cannot be kept there.",
        "{reason}",
        "%pip install keyring\nfor this notebook only: %ollama_config --key-store notebook",
    ),
    "OM-S13": (
        "This would be sent to {what}, off this machine.",
        "The form or the cell says local-only, so nothing was sent.",
        "a local model, or: %ollama_config --local-only no",
    ),
    "OM-S14": (
        "A key cannot be asked for here.",
        "{reason}",
        "%ollama_config --api-key-env NAME (the environment variable that holds it)",
    ),
    "OM-P07": (
        "{source} was not fetched.",
        "{reason}",
        "save the picture yourself and give its path: -i picture.png",
    ),
    "OM-P08": (
        "{source} is an address, and no address is fetched unasked.",
        "Fetching it tells its server that you look at it, and where from.",
        "save the picture and give its path, or: %%ollama --allow-url -i {source}",
    ),
    "OM-Y01": (
        "{method} {route} as it is asked now is not in {path}.",
        "{reason}",
        "run all cells again with a server and without OLLAMA_MAGICS_REPLAY, which records anew",
    ),
    "OM-Y02": (
        "{path} cannot be replayed.",
        "{reason}",
        "record it first: run all cells with a server and without OLLAMA_MAGICS_REPLAY",
    ),
    "OM-Y03": (
        "{path} cannot be recorded to.",
        "{reason}",
        "%ollama_config --record ANOTHER.json",
    ),
    "OM-T03": (
        "A prompt is text, not {kind}.",
        "Only text can be sent to the model.",
        'om.chat("What is Python?")',
    ),
    "OM-I03": ("Interrupted; the finished batches are kept: run the cell again, and only the others are asked for.", "", ""),
    "OM-I04": ("Interrupted; nothing was kept.", "", ""),
    "OM-I05": ("Interrupted; the store of vectors had trouble, so not all finished batches are kept.", "", ""),
    "OM-I06": ("Interrupted; the check did not come to its end.", "", ""),
    "OM-I02": ("Interrupted before the first word.", "", ""),
    "OM-I01": ("Interrupted; the text so far is kept in _ollama.", "", ""),
}
