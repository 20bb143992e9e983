"""What is said to the person, in each language, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

LANGUAGES = ("en", "zh")

# code: (what is wrong, how we know, what to type)
_ERRORS: dict[str, dict[str, tuple[str, str, str]]] = {
    "en": {
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
            "It was stopped while {model} was being loaded or asked.",
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
        # prompts
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
            "define {name} first, or write \\{{{{{name}}}}} to send the braces",
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
            "leave these rows out, or turn them into text first",
        ),
        "OM-E03": (
            "{kind} cannot be embedded as it is.",
            "{reason}",
            "{instead}",
        ),
        "OM-E04": (
            "The server's answer does not fit the texts.",
            "{reason}",
            "nothing was kept; run the cell again, and if it stays, try another model",
        ),
        "OM-E05": (
            "A text is longer than {model} can read.",
            "One of rows {first} to {last}: {said}",
            "shorten or split the longest of them (a length in tokens is about a quarter of its characters)",
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
        # settings
        "OM-S01": (
            "{value} is no value for {setting}.",
            "{reason}",
            "{example}",
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
        "OM-T03": (
            "A prompt is text, not {kind}.",
            "Only text can be sent to the model.",
            'om.chat("What is Python?")',
        ),
        "OM-I02": ("Interrupted before the first word.", "", ""),
        "OM-I01": ("Interrupted; the text so far is kept in _ollama.", "", ""),
    },
    "zh": {
        "OM-A01": (
            "{typed} 不是可用的地址。",
            "{reason}",
            "%ollama_config --base-url http://127.0.0.1:11434",
        ),
        "OM-A02": (
            "{port} 不是端口。",
            "端口是 1 到 65535 的整数，Ollama 的默认端口是 11434。",
            "%ollama_config --base-url http://127.0.0.1:11434\n模型名称：%ollama_config --model NAME",
        ),
        "OM-A03": (
            "以 {scheme}: 开头的地址不可用。",
            "Ollama 只使用 http 和 https。",
            "%ollama_config --base-url http://127.0.0.1:11434",
        ),
        "OM-A04": (
            "{model} 看起来像模型名称，而不是地址。",
            "地址是带端口的机器，例如 127.0.0.1:11434。",
            "%ollama_config --model {model}",
        ),
        "OM-A05": (
            "无法从地址中分辨 @ 之前的用户名和密码。",
            "@ 之前有空格、/、\\、? 或 #。",
            "在用户名或密码中写成 %20、%2F、%5C、%3F 或 %23",
        ),
        "OM-R01": (
            "服务器拒绝了请求（{status}）。",
            "它说：{said}",
            "%ollama_check",
        ),
        "OM-R02": (
            "无法读取服务器的回答。",
            "{reason}",
            "%ollama_check",
        ),
        "OM-D01": (
            "找不到名称 {host}。",
            "域名解析返回：{reason}。",
            "检查拼写\n查找 Ollama 在哪里应答：%ollama_check",
        ),
        "OM-D02": (
            "此处无法解析名称：{host}。",
            "{reason}",
            "打开网络（Kaggle：Settings → Internet），或用 IP 地址代替名称",
        ),
        "OM-D03": (
            "{url} 没有应答。",
            "{host} 拒绝了端口 {port} 上的连接；在本内核所在的机器上，第一条命令会启动 Ollama。",
            "ollama serve\n在别处：%ollama_config --base-url http://HOST:11434\n没有：%ollama_config --sandbox",
        ),
        "OM-D04": (
            "{url} 没有应答：在容器中，它指的是容器自身。",
            "{refused} 拒绝连接；{signs}。",
            "%ollama_check",
        ),
        "OM-D05": (
            "{url} 没有应答：在 WSL 中它指 Linux 一侧，而 Ollama 可能运行在 Windows 上。",
            "{refused} 拒绝连接；{signs}。",
            "%ollama_check",
        ),
        "OM-D06": (
            "{host} 存在，但没有 Ollama 在其上监听。",
            "{refused} 拒绝连接：Ollama 很可能只监听那台机器的回环地址。",
            "%ollama_check",
        ),
        "OM-D07": (
            "{url} 没有应答。",
            "{reason}",
            "%ollama_check\n在别处：%ollama_config --base-url http://HOST:11434",
        ),
        "OM-D08": (
            "Ollama 没有监听 {host}，只监听另一种地址（IPv4/IPv6）。",
            "{refused} 拒绝连接；{found} 有应答。",
            "%ollama_check",
        ),
        "OM-D09": (
            "{host} 较慢：它的第一个地址没有应答。",
            "{slow} 没有立即应答，{fast} 应答了。",
            "%ollama_config --base-url {url}",
        ),
        "OM-D10": (
            "{host} 是用于监听的地址，不能用来连接。",
            "0.0.0.0、:: 和 * 表示一台机器的所有地址。",
            "%ollama_config --base-url http://127.0.0.1:{port}",
        ),
        "OM-D11": (
            "{url} 没有应答：本内核运行在云端（{place}），那里尚未启动任何服务。",
            "{refused} 拒绝连接；{signs}。",
            '!curl -fsSL https://ollama.com/install.sh | sh\nimport subprocess; subprocess.Popen(["ollama", "serve"])\n!ollama pull llama3.2',
        ),
        "OM-D12": (
            "{url} 没有应答：本内核运行在远程机器上，而 Ollama 可能在您的机器上。",
            "{refused} 拒绝连接；{signs}。",
            "在您的机器上：ssh -N -R 11434:127.0.0.1:11434 USER@SERVER\n或在此处：ollama serve",
        ),
        "OM-D13": (
            "与 {url} 的连接断开。",
            "{reason}",
            "%ollama_check",
        ),
        "OM-D14": (
            "{url} 上监听的服务不使用 HTTP。",
            "它说：{said}",
            "询问 {host} 上 Ollama 的端口；默认是 11434",
        ),
        "OM-D15": (
            "无法与 {url} 建立安全连接：它使用普通 http。",
            "TLS 库返回：{reason}。",
            "用 http:// 代替 https://，Ollama 本身使用 http",
        ),
        "OM-D16": (
            "{url} 使用 https，而不是 http。",
            "它说：{said}",
            "用 https:// 代替 http://",
        ),
        "OM-D17": (
            "{url} 的证书不被接受。",
            "{reason}",
            "{trust}",
        ),
        "OM-D18": (
            "与 {url} 的安全连接未能完成。",
            "{reason}",
            "查明中间是什么（读取 TLS 的代理、错误的端口），并绕过它再试",
        ),
        "OM-D19": (
            "代理代替 {host} 作了应答。",
            "{proxy} 返回 {status}：{said}。",
            "NO_PROXY=localhost,127.0.0.1,::1,{host}\n在内核启动之前设置；由内核读取",
        ),
        "OM-D20": (
            "本内核与 {url} 之间的代理出错。",
            "{reason}",
            "让该主机不经过代理：NO_PROXY={host}",
        ),
        "OM-D21": (
            "代理不允许我们到达 {url}。",
            "{reason}",
            "为代理提供用户名和密码（HTTPS_PROXY=http://NAME:PASSWORD@PROXY），或：NO_PROXY={host}",
        ),
        "OM-D22": (
            "本内核的代理或证书设置无法使用。",
            "{reason}",
            "检查 HTTP_PROXY、HTTPS_PROXY、ALL_PROXY、NO_PROXY 和 SSL_CERT_FILE",
        ),
        "OM-D23": (
            "{url} 让我们转到别处，我们不会跟随。",
            "它返回 {status}，目标为 {location}。",
            "%ollama_config --base-url ADDRESS（Ollama 自身监听的地址）",
        ),
        "OM-D24": (
            "{url} 上应答的不是 Ollama。",
            "{reason}",
            "Ollama 的默认端口是 11434；查找它在哪里应答：%ollama_check",
        ),
        "OM-D25": (
            "{url} 不认识 Ollama 接口的路径。",
            "它返回 404 page not found。",
            "去掉端口之后的部分（/v1、/api），或升级过旧的 Ollama",
        ),
        "OM-D26": (
            "{host} 上的 Ollama 未登录，而该模型在云端运行。",
            "它给出了登录链接：{link}",
            "在服务器所在的机器上：ollama signin",
        ),
        "OM-D27": (
            "{url} 的 Ollama 之前有服务要求身份验证。",
            "它返回 {status}：{asked}",
            "在地址中写入用户名和密码：--base-url http://NAME:PASSWORD@HOST，或索取密钥",
        ),
        "OM-D28": (
            "{url} 的 Ollama 拒绝名称 {host}。",
            "它返回空的 403：只监听本机时，它只接受本地名称。",
            '使用它的 IP 地址，或让隧道发送头部 Host: localhost:11434\nngrok http 11434 --host-header="localhost:11434"\ncloudflared tunnel --url http://localhost:11434 --http-host-header="localhost:11434"\nnginx: proxy_set_header Host localhost:11434;',
        ),
        "OM-D29": (
            "{host} 上的 Ollama 不使用云端模型。",
            "它说：{said}",
            "在那里取消 OLLAMA_NO_CLOUD（或 server.json 中的设置），或使用本地模型",
        ),
        "OM-D30": (
            "ollama.com 需要密钥。",
            "它说：{said}",
            "在 https://ollama.com/settings/keys 创建，然后在内核启动前设置 OLLAMA_API_KEY",
        ),
        "OM-D31": (
            "{url} 接受了请求，然后没有应答。",
            "{seconds} 秒内没有应答。",
            "%ollama_check\n大模型可能需要更久：%ollama_config --first-token-timeout 1200",
        ),
        "OM-D32": (
            "{model} 仍在加载；这不是错误。",
            "服务器有应答，{seconds} 秒后 {model} 尚未进入内存。",
            "可随时停止；服务器上的 OLLAMA_LOAD_TIMEOUT 限制加载时间，keep-alive 设为 1h 可省去下次加载",
        ),
        "OM-D33": (
            "我们与 {url} 的 Ollama 之间的网关放弃了。",
            "它返回 {status}：{said}。",
            "nginx: proxy_read_timeout 600s; proxy_buffering off;\n或绕过它：ssh -N -L 11434:127.0.0.1:11434 USER@SERVER",
        ),
        "OM-D34": (
            "服务器繁忙。",
            "它说：{said}",
            "等待之前的请求完成，然后再次运行单元格",
        ),
        "OM-D35": (
            "{host} 上的 Ollama {version} 太旧。",
            "0.12.6 之前的服务器会不声不响地截断长提示。",
            "在那里升级 Ollama，然后再次运行单元格",
        ),
        "OM-D36": (
            "{host} 上没有安装 {model}。",
            "{installed}",
            "ollama pull {model}{nearest}",
        ),
        "OM-D37": (
            "{host} 上没有能做到这一点的模型：{ability}。",
            "{installed}",
            "{pull}",
        ),
        "OM-D38": (
            "{model} 做不到：{ability}。",
            "服务器列出的能力：{capabilities}。",
            "用 -m 选择其他模型；{installed}",
        ),
        "OM-D39": (
            "{model} 做不到：{ability}。",
            "服务器列出的能力：{capabilities}。",
            "用 -m 选择其他模型；{installed}",
        ),
        "OM-D40": (
            "{asked} token 的上下文超过了 {model} 的设计上限。",
            "服务器列出的最大值为 {limit}，不会使用更多。",
            "%ollama_config --context {limit}",
        ),
        "OM-D41": (
            "{model} 以不同的上下文加载，下次提问会重新加载。",
            "现在是 {loaded} token，表单中是 {asked}。",
            "%ollama_config --context {loaded}",
        ),
        "OM-D42": (
            "服务器无法运行 {model}。",
            "它说：{said}",
            "再次运行单元格；若仍如此：减小 --context，或换更小的模型",
        ),
        "OM-D43": (
            "{model} 需要更新版本的 Ollama。",
            "服务器说：{said}",
            "在那里升级 Ollama，然后再次运行单元格",
        ),
        "OM-D44": (
            "{model} 在处理器上运行（GPU 占 {share}）。",
            "服务器的已加载模型列表如此显示。",
            "没有 GPU 则无需处理；否则查看服务器日志：journalctl -u ollama -n 50",
        ),
        "OM-D45": (
            "{url} 的证书尚未生效。",
            "TLS 库返回：{said}。",
            "校正本机时钟（timedatectl），或索取已生效的证书",
        ),
        "OM-M01": (
            "有多个已安装的模型能做到：{ability}。",
            "它们是：{models}。",
            "指定一个：-m {first}\n用于整个笔记本：%ollama_config --model {first}",
        ),
        "OM-V01": (
            "{model} 接受图片但看不见。",
            "询问纯色图片的颜色，它回答：{said}。",
            "%ollama_config --vision no，或使用能看图的模型：ollama pull gemma3",
        ),
        "OM-V02": (
            "{model} 拒绝图片。",
            "服务器说：{said}",
            "%ollama_config --vision no，或使用能看图的模型：ollama pull gemma3",
        ),
        "OM-V03": (
            "{model} 的向量没有用处。",
            "{reason}",
            "使用专门的嵌入模型：ollama pull all-minilm",
        ),
        "OM-V04": (
            "{model} 不调用函数。",
            "要求使用函数时它回答：{said}",
            "使用其他支持函数的模型：ollama pull llama3.2",
        ),
        "OM-V05": (
            "{model} 不显示思考过程。",
            "要求思考时它直接回答：{said}",
            "如果不需要思考过程，则无需处理",
        ),
        "OM-V06": (
            "{model} 的回答是空的。",
            "回答结束于：{reason}",
            "再次运行检查；若仍如此，换一个模型",
        ),
        "OM-V07": (
            "检查已停止。",
            "在加载或询问 {model} 时停止。",
            "%ollama_check --deep",
        ),
    },
}

_PHRASES: dict[str, dict[str, str]] = {
    "en": {
        "waiting": "waiting",
        "seconds": "{seconds} s",
        "tokens": "{count} tokens",
        "speed": "{rate} tok/s",
        "first": "first after {seconds} s",
        "context": "context {used} of {size}",
        "cut": "cut at the max tokens ({count}): raise with --max-tokens",
        "incomplete": "the answer is not complete",
        "shifted": "the answer ran past the context: the model forgot the beginning; raise with --context",
        "dropped": "run again: later turns of the conversation were dropped ({count})",
        "shrunk": "picture was shrunk from {old} to {new}",
        "remote": "sent to {host}",
        "thoughts": "thoughts",
        "not_asked": "not asked yet",
        "address_default": "{url}, the default",
        "address_environment": "{url}, from OLLAMA_HOST",
        "address_notebook": "{url}, set in this notebook",
        "reached": "{where} accepts connections",
        "is_ollama": "Ollama {version}",
        "model_installed": "{model} is installed, one of {count}",
        "model_only": "{model}, the only installed one of {count} that fits",
        "takes_context": "context up to {count}",
        "dimension": "dimension {count}",
        "source_default": "default",
        "source_environment": "environment",
        "source_notebook": "this notebook",
        "set": "{label}: {value}",
        "sandbox_runs": "a stand-in server answers at {url}; it knows {models}, and it is no language model",
        "checking": "checking …",
        "note_model": "empty: the only installed one that fits",
        "note_model_type": "what the model is asked for",
        "note_context_length": "{value} tokens, sent as num_ctx",
        "note_max_tokens": "{value} tokens, sent as num_predict",
        "note_vision": "auto: as the server says",
        "note_embedding_model": "used by %embed",
        "note_language": "of labels and messages",
        "server_decides": "the model's own",
        "model_chosen": "the only installed one that fits",
        "value": "value",
        "setting": "setting",
        "from": "from",
        "remote_picture": "[image: {host} — not loaded]",
        "only_thoughts": "the budget ended inside the thoughts: raise with --max-tokens",
        # the diagnosis
        "bad_request": "the request holds a sign that HTTP does not allow",
        "said": "It said: {said}.",
        "server_said": "The server said: {said}",
        "not_listed": "(not listed; it said: {said})",
        "named_said": "{name} said: {said}.",
        "answered": "It answered {status} with {said}.",
        "handshake_silent": "The TLS handshake got no answer within {seconds} s.",
        "look_up_silent": "The name look-up took longer than {seconds} s.",
        "look_up_said": "The name look-up said: {said}.",
        "no_connection_within": "No connection within {seconds} s: a firewall, or a wrong address.",
        "was_reset": "It was reset.",
        "closed_here": "It was closed here: since this was prepared, the address was changed or the session ended.",
        "encoded": "it is encoded as {name}",
        "no_certificates": "SSL_CERT_FILE or SSL_CERT_DIR names nothing that can be used: {said}.",
        "no_proxy_address": "{proxy} is no address of an http or https proxy; other kinds are not supported.",
        "certificate_unknown": "Nobody known here has signed it: {said}.",
        "certificate_expired": "Its time is over: {said}.",
        "certificate_name": "It is made out to another name: {said}.",
        "trust_unknown": "if you know the server: SSL_CERT_FILE=/path/of/its/ca.pem before the kernel starts",
        "trust_expired": "let it be renewed on {host}",
        "trust_name": "use the name that the certificate is made out to instead of {host}",
        "or_use": "\nor use -m {model}",
        "able_to": "able to: {models}",
        "none_able": "none installed is able to",
        "installed_there": "Installed there: {models}.",
        "none_installed": "No model is installed there.",
        "name_is": "{host} is {addresses}",
        "accepts": "{where} accepts connections",
        "refuses": "{where} refuses",
        "silent": "{where} is silent",
        "tls_is": "{version}, the certificate is accepted",
        "key_sent": "{sentence}, key or password sent",
        "claimed": "the form says yes and the server no: {ability}",
        "loading": "loading {model} … {seconds} s",
        "load_done": "{model} loaded in {seconds} s, {size} in memory, {share} on the GPU",
        "load_done_unseen": "{model} loaded in {seconds} s",
        "asking": "asking …",
        "answer_is": "“{text}”: first word after {first} s, {rate} tok/s",
        "answer_vector": "a vector of {count} numbers",
        "proof_sees": "vision: sees",
        "proof_ignores": "vision: ignores",
        "proof_refuses": "vision: refuses",
        "proof_calls": "tools: calls",
        "proof_talks": "tools: only talks",
        "proof_thinks": "thinking: thinks",
        "proof_silent": "thinking: shows none",
        "proof_near": "embedding: near texts are near (dimension {count}, {languages})",
        "proof_far": "embedding: fails",
        "proof_none": "nothing more to prove",
        "english": "English",
        "chinese": "Chinese",
        "english_chinese": "English and Chinese",
        "vectors_wrong": "It gave {found} vectors of {sizes} numbers for {count} texts.",
        "vectors_size": "They have {size} numbers, the server lists {listed}.",
        "vectors_infinite": "They hold values that are no finite numbers.",
        "vectors_zero": "One of them is zero.",
        "vectors_order": "A cat was not nearer to a kitten ({near}) than to a bank ({far}).",
        "vectors_change": "The same text gave another vector the second time.",
        "vectors_refused": "The server said: {said}",
        "in_container": "this kernel seems to run in a container",
        "in_kubernetes": "this kernel seems to run in a pod of Kubernetes",
        "in_wsl": "this kernel runs in WSL",
        "in_colab": "this kernel runs in Colab",
        "in_kaggle": "this kernel runs on Kaggle",
        "in_binder": "this kernel runs in Binder",
        "in_codespaces": "this kernel runs in Codespaces",
        "in_jupyterhub": "this kernel was started by a JupyterHub",
        "in_ssh": "this kernel was started over SSH",
        "in_vscode": "this kernel was started by VS Code on a remote machine",
        "in_plain": "nothing says that this kernel runs elsewhere than on that machine",
        "answers_too": "{seen} {found} answers as Ollama {version}.",
        "use_found": "%ollama_config --base-url {url}   # answers, Ollama {version}",
        "refused_on": "{where} refused the connection.",
        "banner": "{said} (sent before any question)",
        "far_end": "It accepts connections and closes them: a tunnel or port mapping without a server at its far end?",
        "try_far_end": "on the machine at the far end: curl http://127.0.0.1:11434/api/version",
        "direct_works": "{seen} Without the proxy, {where} accepts connections.",
        "no_proxy": "NO_PROXY=localhost,127.0.0.1,::1,{host}   # set it before the kernel starts",
        "start_linux": "sudo systemctl start ollama\nwithout systemd: ollama serve\nlog: journalctl -u ollama -n 50",
        "start_mac": "start the Ollama app, or: ollama serve",
        "start_windows": "start Ollama from the Start menu, or: ollama serve",
        "start_none": "without any Ollama: %ollama_config --sandbox",
        "start_there": "on {host}: ollama serve; if it runs there already, it listens to itself only:",
        "bind_warning": "Ollama has no password: take the narrow address; 0.0.0.0 opens it to the whole network",
        "bind_linux": 'on the host: sudo systemctl edit ollama.service\n[Service]\nEnvironment="OLLAMA_HOST=172.17.0.1:11434"\nsudo systemctl daemon-reload && sudo systemctl restart ollama',
        "bind_mac": 'macOS: launchctl setenv OLLAMA_HOST "0.0.0.0:11434", then quit and reopen Ollama',
        "bind_windows": 'Windows: quit Ollama in the tray; setx OLLAMA_HOST "0.0.0.0:11434"; start it from the Start menu',
        "docker_desktop": "Docker Desktop: the host is host.docker.internal; if it refuses, Ollama must listen wider",
        "docker_linux": 'start the container with: docker run --add-host=host.docker.internal:host-gateway …\ncompose: extra_hosts: ["host.docker.internal:host-gateway"]',
        "docker_podman": "podman: the host is host.containers.internal; Ollama there must listen to it",
        "docker_narrow": "and let Ollama on the host listen to the bridge: OLLAMA_HOST=172.17.0.1:11434 (0.0.0.0 opens it to the network)",
        "kubernetes_service": "localhost is the pod: use the name of Ollama's service, such as http://ollama.NAMESPACE:11434",
        "wsl_mirror": "in %UserProfile%\\.wslconfig: [wsl2] networkingMode=mirrored; then: wsl --shutdown",
        "wsl_gateway": "or let Ollama on Windows listen to {gateway} and use http://{gateway}:11434",
        "firewall_linux": "on the host: sudo ufw allow in on docker0 to any port {port} proto tcp",
        "firewall_windows": "Windows, PowerShell as admin: New-NetFirewallRule -DisplayName Ollama -Direction Inbound -Protocol TCP -LocalPort {port} -Action Allow -Profile Private",
        "server_hangs": "on the machine of the server: ollama ps; then restart it: sudo systemctl restart ollama",
        "redirect_same": "the same machine, so the address to use is probably {url}",
        "looks_openwebui": "It looks like Open WebUI.",
        "looks_lmstudio": "It looks like LM Studio.",
        "looks_vllm": "It looks like vLLM.",
        "looks_llamacpp": "It looks like the server of llama.cpp.",
        "looks_login": "It looks like a page to log in.",
        "looks_proxy": "It looks like a proxy or gateway ({name}).",
        "looks_page": "It looks like a web page.",
        "use_openwebui": "Ollama itself is behind it: on port 11434, or under {url}/ollama with a key of Open WebUI",
        "use_other": "Ollama's own port is 11434: ask where it listens; {name} speaks another language",
        "use_login": "log in is for people: ask for an address of Ollama itself, or for a key",
        "no_probe": "ask where Ollama listens; its own port is 11434",
        "address_changed": "typed {typed} → used {url}, because {reasons}",
    },
    "zh": {
        "not_asked": "尚未询问",
        "address_default": "{url}，默认值",
        "address_environment": "{url}，来自 OLLAMA_HOST",
        "address_notebook": "{url}，在本笔记本中设置",
        "reached": "{where} 接受连接",
        "is_ollama": "Ollama {version}",
        "model_installed": "{model} 已安装，共 {count} 个",
        "model_only": "{model}，{count} 个中唯一合适的",
        "takes_context": "上下文最多 {count}",
        "dimension": "维度 {count}",
        "checking": "正在检查 …",
        "bad_request": "请求包含 HTTP 不允许的字符",
        "said": "返回：{said}。",
        "server_said": "服务器说：{said}",
        "not_listed": "（未列出；它说：{said}）",
        "named_said": "{name} 说：{said}。",
        "answered": "它返回 {status}：{said}。",
        "handshake_silent": "TLS 握手在 {seconds} 秒内没有应答。",
        "look_up_silent": "域名解析超过 {seconds} 秒。",
        "look_up_said": "域名解析返回：{said}。",
        "no_connection_within": "{seconds} 秒内没有连接：防火墙，或地址错误。",
        "was_reset": "连接被重置。",
        "closed_here": "它在此处被关闭：准备之后，地址已更改或会话已结束。",
        "encoded": "它以 {name} 编码",
        "no_certificates": "SSL_CERT_FILE 或 SSL_CERT_DIR 指向的内容不可用：{said}。",
        "no_proxy_address": "{proxy} 不是 http 或 https 代理的地址；不支持其他类型。",
        "certificate_unknown": "签发者不被信任：{said}。",
        "certificate_expired": "证书已过期：{said}。",
        "certificate_name": "证书属于另一个名称：{said}。",
        "trust_unknown": "如果您认识该服务器：在内核启动前设置 SSL_CERT_FILE=/path/of/its/ca.pem",
        "trust_expired": "请在 {host} 上更新证书",
        "trust_name": "使用证书上的名称代替 {host}",
        "or_use": "\n或使用 -m {model}",
        "able_to": "能做到的：{models}",
        "none_able": "没有已安装的模型能做到",
        "installed_there": "那里已安装：{models}。",
        "none_installed": "那里没有安装模型。",
        "name_is": "{host} 为 {addresses}",
        "accepts": "{where} 接受连接",
        "refuses": "{where} 拒绝",
        "silent": "{where} 无应答",
        "tls_is": "{version}，证书被接受",
        "key_sent": "{sentence}，已发送密钥或密码",
        "claimed": "表单为是而服务器为否：{ability}",
        "loading": "正在加载 {model} … {seconds} 秒",
        "load_done": "{model} 在 {seconds} 秒内加载，占内存 {size}，GPU 占 {share}",
        "load_done_unseen": "{model} 在 {seconds} 秒内加载",
        "asking": "正在询问 …",
        "answer_is": "“{text}”：{first} 秒后出现首词，{rate} token/秒",
        "answer_vector": "{count} 个数的向量",
        "proof_sees": "视觉：能看见",
        "proof_ignores": "视觉：忽略图片",
        "proof_refuses": "视觉：拒绝图片",
        "proof_calls": "函数：会调用",
        "proof_talks": "函数：只说话",
        "proof_thinks": "思考：会思考",
        "proof_silent": "思考：不显示",
        "proof_near": "嵌入：相近的文本相近（维度 {count}，{languages}）",
        "proof_far": "嵌入：失败",
        "proof_none": "没有更多可验证的",
        "english": "英文",
        "chinese": "中文",
        "english_chinese": "英文和中文",
        "vectors_wrong": "{count} 条文本得到 {found} 个向量，长度 {sizes}。",
        "vectors_size": "它们有 {size} 个数，服务器列出 {listed}。",
        "vectors_infinite": "其中有非有限数值。",
        "vectors_zero": "其中一个为零向量。",
        "vectors_order": "“猫”与“小猫”（{near}）并不比与“银行”（{far}）更近。",
        "vectors_change": "同一文本第二次得到不同的向量。",
        "vectors_refused": "服务器说：{said}",
        "in_container": "本内核似乎运行在容器中",
        "in_kubernetes": "本内核似乎运行在 Kubernetes 的 pod 中",
        "in_wsl": "本内核运行在 WSL 中",
        "in_colab": "本内核运行在 Colab 中",
        "in_kaggle": "本内核运行在 Kaggle 上",
        "in_binder": "本内核运行在 Binder 中",
        "in_codespaces": "本内核运行在 Codespaces 中",
        "in_jupyterhub": "本内核由 JupyterHub 启动",
        "in_ssh": "本内核通过 SSH 启动",
        "in_vscode": "本内核由 VS Code 在远程机器上启动",
        "in_plain": "没有迹象表明本内核运行在别处",
        "answers_too": "{seen}{found} 作为 Ollama {version} 应答。",
        "use_found": "%ollama_config --base-url {url}   # 有应答，Ollama {version}",
        "refused_on": "{where} 拒绝了连接。",
        "banner": "{said}（在任何请求之前发送）",
        "far_end": "它接受连接后又关闭：隧道或端口映射的另一端没有服务器？",
        "try_far_end": "在另一端的机器上：curl http://127.0.0.1:11434/api/version",
        "direct_works": "{seen}不经代理，{where} 接受连接。",
        "no_proxy": "NO_PROXY=localhost,127.0.0.1,::1,{host}   # 在内核启动前设置",
        "start_linux": "sudo systemctl start ollama\n没有 systemd：ollama serve\n日志：journalctl -u ollama -n 50",
        "start_mac": "启动 Ollama 应用，或：ollama serve",
        "start_windows": "从开始菜单启动 Ollama，或：ollama serve",
        "start_none": "没有 Ollama：%ollama_config --sandbox",
        "start_there": "在 {host} 上：ollama serve；若已运行，则它只监听自身：",
        "bind_warning": "Ollama 没有密码：请用窄地址；0.0.0.0 会向整个网络开放",
        "bind_linux": '在宿主机上：sudo systemctl edit ollama.service\n[Service]\nEnvironment="OLLAMA_HOST=172.17.0.1:11434"\nsudo systemctl daemon-reload && sudo systemctl restart ollama',
        "bind_mac": 'macOS：launchctl setenv OLLAMA_HOST "0.0.0.0:11434"，然后退出并重新打开 Ollama',
        "bind_windows": 'Windows：在托盘退出 Ollama；setx OLLAMA_HOST "0.0.0.0:11434"；从开始菜单启动',
        "docker_desktop": "Docker Desktop：宿主机是 host.docker.internal；若拒绝，Ollama 须监听更广的地址",
        "docker_linux": '启动容器时加：docker run --add-host=host.docker.internal:host-gateway …\ncompose: extra_hosts: ["host.docker.internal:host-gateway"]',
        "docker_podman": "podman：宿主机是 host.containers.internal；那里的 Ollama 必须监听它",
        "docker_narrow": "并让宿主机上的 Ollama 监听网桥：OLLAMA_HOST=172.17.0.1:11434（0.0.0.0 会向网络开放）",
        "kubernetes_service": "localhost 是 pod：使用 Ollama 服务的名称，例如 http://ollama.NAMESPACE:11434",
        "wsl_mirror": "在 %UserProfile%\\.wslconfig 中：[wsl2] networkingMode=mirrored；然后：wsl --shutdown",
        "wsl_gateway": "或让 Windows 上的 Ollama 监听 {gateway}，并使用 http://{gateway}:11434",
        "firewall_linux": "在宿主机上：sudo ufw allow in on docker0 to any port {port} proto tcp",
        "firewall_windows": "Windows，管理员 PowerShell：New-NetFirewallRule -DisplayName Ollama -Direction Inbound -Protocol TCP -LocalPort {port} -Action Allow -Profile Private",
        "server_hangs": "在服务器所在的机器上：ollama ps；然后重启：sudo systemctl restart ollama",
        "redirect_same": "同一台机器，因此应使用的地址可能是 {url}",
        "looks_openwebui": "它看起来是 Open WebUI。",
        "looks_lmstudio": "它看起来是 LM Studio。",
        "looks_vllm": "它看起来是 vLLM。",
        "looks_llamacpp": "它看起来是 llama.cpp 的服务器。",
        "looks_login": "它看起来是登录页面。",
        "looks_proxy": "它看起来是代理或网关（{name}）。",
        "looks_page": "它看起来是网页。",
        "use_openwebui": "Ollama 在其后面：端口 11434，或 {url}/ollama（需要 Open WebUI 的密钥）",
        "use_other": "Ollama 的默认端口是 11434：询问它在哪里监听；{name} 使用另一种接口",
        "use_login": "登录页面是给人用的：请索取 Ollama 自身的地址或密钥",
        "no_probe": "询问 Ollama 在哪里监听；默认端口是 11434",
        "address_changed": "输入 {typed} → 使用 {url}，因为{reasons}",
        # why an address is changed: the names of address.Why
        "why_blank": "没有输入，而 Ollama 默认在那里监听",
        "why_invisible": "去掉了不可见字符",
        "why_edges": "去掉了地址两端的空格、引号和标记",
        "why_picked": "只取了文本中的地址",
        "why_no_address": "命令中没有地址，而 Ollama 默认在那里监听",
        "why_userinfo": "用户名和密码与地址分开保存",
        "why_wide": "全角字符写成了半角",
        "why_query": "? 或 # 之后的部分不属于地址",
        "why_brackets": "IPv6 地址写在方括号里",
        "why_machine": "没有写明机器，因此是本内核所在的机器",
        "why_network_name": "网络只认识用普通字母写的名称",
        "why_bind": "0.0.0.0、:: 和 * 是监听地址，用回环地址连接",
        "why_cloud": "ollama.com 使用 https",
        "why_scheme": "没有输入 http://",
        "why_port": "没有输入端口，Ollama 的默认端口是 11434",
        "why_path": "/api/chat 或 /v1 这样的路径由每个请求自行添加",
        "why_spelling": "这是通常的写法",
    },
}

_LABELS: dict[str, dict[str, str]] = {
    "en": {
        "model": "Model name",
        "base_url": "Base URL",
        "model_type": "Model type",
        "context_length": "Context length",
        "max_tokens": "Upper bound for max tokens",
        "vision": "Vision support",
        "embedding_model": "Embedding model",
        "system": "System prompt",
        "temperature": "Temperature",
        "seed": "Seed",
        "connect_timeout": "Seconds to connect",
        "first_token_timeout": "Seconds to the first token",
        "idle_timeout": "Seconds between tokens",
        "language": "Language",
        "check": "Check",
        "stage_address": "Address",
        "stage_connection": "Connection",
        "stage_server": "Server",
        "stage_model": "Model",
        "stage_abilities": "Capabilities",
        "ask_model": "Ask the model",
        "stage_name": "Name",
        "stage_encryption": "Encryption",
        "stage_load": "Load",
        "stage_answer": "Answer",
        "stage_proofs": "Proofs",
    },
    "zh": {
        "model": "模型名称",
        "base_url": "基础 URL",
        "model_type": "模型类型",
        "context_length": "模型上下文长度",
        "max_tokens": "最大 token 上限",
        "vision": "是否支持 Vision",
        "embedding_model": "嵌入模型",
        "language": "语言",
        "check": "检查",
        "stage_address": "地址",
        "stage_connection": "连接",
        "stage_server": "服务器",
        "stage_model": "模型",
        "stage_abilities": "能力",
        "ask_model": "询问模型",
        "stage_name": "名称",
        "stage_encryption": "加密",
        "stage_load": "加载",
        "stage_answer": "回答",
        "stage_proofs": "验证",
    },
}


# What a terminal obeys instead of showing it: controls but the newline, and marks of direction.
_PAINTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class _Facts(dict[str, str]):
    # A missing fact must never turn one error into another.
    def __missing__(self, name: str) -> str:
        return "…"


def fill(template: str, facts: Mapping[str, str]) -> str:
    """Return the template with ``{name}`` replaced by its fact; facts are never expanded again."""
    return template.format_map(_Facts({name: harmless(fact) for name, fact in facts.items()}))


def harmless(text: str) -> str:
    """Return what a server or a person said without signs that a terminal obeys."""
    return _PAINTING.sub(" ", text)


class Phrase:
    """Words that are put into the language of the person when they are shown, not when an error is raised."""

    def __init__(self, key: str, /, **facts: object) -> None:
        self._key, self._facts = key, facts

    def spoken(self, language: str) -> str:
        """Return the words in that language; facts that are phrases themselves are told in it, too."""
        return phrase(self._key, language, **{name: told(fact, language) for name, fact in self._facts.items()})

    def __str__(self) -> str:
        return self.spoken("en")


class Joined(Phrase):
    """Phrases and plain texts one after another, with something between them."""

    def __init__(self, parts: Iterable[object], between: str = "\n") -> None:
        super().__init__("")
        self._parts, self._between = tuple(parts), between

    def spoken(self, language: str) -> str:
        """Return the parts in that language."""
        return self._between.join(told(part, language) for part in self._parts)


def told(fact: object, language: str) -> str:
    """Return a fact as it is shown in a language: a phrase is translated, anything else is its own text."""
    return fact.spoken(language) if isinstance(fact, Phrase) else str(fact)


def error(code: str, language: str = "en") -> tuple[str, str, str]:
    """Return what, how we know and the remedy of a code, in English where the language has none."""
    return _ERRORS[language].get(code) or _ERRORS["en"][code]


def phrase(key: str, language: str = "en", **facts: object) -> str:
    """Return one phrase of the screen with its facts filled in, in English where the language has none."""
    template = _PHRASES[language].get(key) or _PHRASES["en"][key]
    return fill(template, {name: str(value) for name, value in facts.items()})


def label(key: str, language: str = "en") -> str:
    """Return the label of a setting or a button, in English where the language has none, else the name itself."""
    return _LABELS[language].get(key) or _LABELS["en"].get(key, key)
