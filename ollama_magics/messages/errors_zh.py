"""What errors say in Chinese, as data."""

# code: (what is wrong, how we know, what to type)
ERRORS: dict[str, tuple[str, str, str]] = {
    "context-full": (
        "回答到达了上下文的末尾。",
        "提示和回答共用了 {limit} 个 token 中的 {used} 个，而 --strict 不允许遗忘。",
        "目前的文本在 _ollama.text 中；更大的空间：--context N，然后用 --continue 继续",
    ),
    "conversation-too-long": (
        "对话已超出 {model} 的上下文。",
        "连同之前的 {turns} 轮约有 {tokens} 个 token，上下文为 {limit}；--strict 不省略任何一轮。",
        "去掉 --strict，用 --new 重新开始，或用 --context N 增大",
    ),
    "nothing-to-continue": (
        "没有可以继续的被截断的回答。",
        "{seen}",
        "写一个新的提示，不用 --continue",
    ),
    "continue-with-prompt": (
        "--continue 会继续被截断的回答，不接受新的提示。",
        "单元格的文字与被截断的提示不同。",
        "清空单元格，或去掉 --continue",
    ),
    "conversation-unknown": (
        "没有名为 {name} 的对话。",
        "{seen}",
        "%ollama --chat {name} 你好（开始这个对话）",
    ),
    "address-unusable": (
        "{typed} 不是可用的地址。",
        "{reason}",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "port-invalid": (
        "{port} 不是端口。",
        "端口是 1 到 65535 的整数，Ollama 的默认端口是 11434。",
        "%ollama_config --base-url http://127.0.0.1:11434\n模型名称：%ollama_config --model NAME",
    ),
    "scheme-unsupported": (
        "以 {scheme}: 开头的地址不可用。",
        "Ollama 只使用 http 和 https。",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "address-is-model": (
        "{model} 看起来像模型名称，而不是地址。",
        "地址是带端口的机器，例如 127.0.0.1:11434。",
        "%ollama_config --model {model}",
    ),
    "password-ambiguous": (
        "无法从地址中分辨 @ 之前的用户名和密码。",
        "@ 之前有空格、/、\\、? 或 #。",
        "在用户名或密码中写成 %20、%2F、%5C、%3F 或 %23",
    ),
    # settings
    "setting-invalid": (
        "{value} 不是“{setting}”可用的值。",
        "{reason}",
        "{example}",
    ),
    "ability-switched-off": (
        "{what}不能发送给这个模型。",
        "表单中已设定：{setting} 为 no。",
        "%ollama_config --{setting} auto",
    ),
    "secret-on-line": (
        "“{setting}”含有机密内容，不应写在魔法命令行中。",
        "该行会留在笔记本和 IPython 的历史记录中；其内容未被使用。",
        "删除此单元格并更换密钥，然后：{instead}",
    ),
    "setting-unknown": (
        "没有设置 {setting}。",
        "可用的设置：{known}。",
        "%ollama_config --show",
    ),
    "variable-unknown": (
        "此行从 {name} 取值，但笔记本中没有 {name}。",
        "值开头的 $ 表示笔记本中的名称。",
        "先定义 {name}",
    ),
    "profile-name-invalid": (
        "{profile} 不能用作配置名称。",
        "名称最多 64 个字母、数字、空格和 . _ + -，并以字母或数字开头。",
        "%ollama_config --save work",
    ),
    "profile-unknown": (
        "没有配置 {profile}。",
        "已保存的：{known}。",
        "%ollama_config --profiles",
    ),
    "profile-unreadable": (
        "无法读取配置 {path}。",
        "{reason}。",
        "它保留为 {kept}：可在那里修正，或不用它继续并重新保存",
    ),
    "profile-too-new": (
        "配置 {path} 比当前版本的 ollama_magics 更新。",
        "它的格式为 {version}；已原样保留，不会写入。",
        "升级 ollama_magics，或使用其他名称：%ollama_config --save NAME",
    ),
    "file-unusable": (
        "无法使用 {path}。",
        "{reason}",
        "使用其他文件夹：在内核启动前将 OLLAMA_MAGICS_CONFIG 设为其完整路径",
    ),
    "profile-invalid": (
        "无法使用配置 {path}：{name} 有误。",
        "{reason}",
        "修正其中的那一行，或：%ollama_config --profiles",
    ),
    "environment-empty": (
        "环境变量 {name} 为空。",
        "表单指定其中有密钥或请求头的值，但本内核中没有。",
        "在内核启动前设置它，或：%ollama_config --api-key",
    ),
    "key-not-stored": (
        "密钥无法保存在那里。",
        "{reason}",
        "%pip install keyring\n仅用于本笔记本：%ollama_config --key-store notebook",
    ),
    "local-only": (
        "内容将被发送到 {what}，离开本机。",
        "表单或单元格设为仅限本机，因此未发送任何内容。",
        "使用本地模型，或：%ollama_config --local-only no",
    ),
    "key-not-asked": (
        "此处无法询问密钥。",
        "{reason}",
        "%ollama_config --api-key-env NAME（保存密钥的环境变量）",
    ),
    # prompts and answers
    "stream-incomplete": (
        "回答被截断。",
        "流在 {characters} 个字符后结束，缺少最后一行。",
        "目前的文本在 _ollama.text 中；再次运行单元格",
    ),
    "model-stuck": (
        "模型卡住了，服务器将其停止。",
        '服务器在 {characters} 个字符后以 "done": false 结束了回答。',
        "目前的文本在 _ollama.text 中；换一个提示、--temperature 或模型再试",
    ),
    "stream-error": (
        "服务器中断了回答。",
        "在 {characters} 个字符后它说：{said}",
        "目前的文本在 _ollama.text 中；再次运行单元格",
    ),
    "stream-stalled": (
        "回答停止了。",
        "在 {characters} 个字符后，{seconds} 秒内没有内容。",
        "目前的文本在 _ollama.text 中；延长等待：%ollama_config --idle-timeout 600",
    ),
    "stream-unreadable": (
        "回答因一行无法读取而中断。",
        "{reason}",
        "目前的文本在 _ollama.text 中；再次运行单元格",
    ),
    "prompt-too-long": (
        "提示超过了 {model} 的上下文长度。",
        "{said}",
        "缩短提示，用 --new 重新开始，或用 --context N 增大",
    ),
    "prompt-empty": (
        "提示为空。",
        "选项之后没有任何内容。",
        "在单元格中写提示，或：%ollama 什么是 Python？",
    ),
    "name-unknown": (
        "提示中有 {{{{{name}}}}}，但笔记本中没有 {name}。",
        "{nearest}",
        "先定义 {name}，或写成 \\{{{{{name}}}}} 以原样发送；--no-fill 会保留整个单元格的花括号",
    ),
    "prompt-not-text": (
        "提示应为文本，而不是 {kind}。",
        "只有文本可以发送给模型。",
        'om.chat("什么是 Python？")',
    ),
    "value-is-picture": (
        "{{{{{name}}}}} 是图片，而提示是文本。",
        "{name} 的类型是 {kind}，模型只会读到它的名字。",
        "在提示之外给出：-i {name}",
    ),
    "value-unprintable": (
        "{{{{{name}}}}} 是 {kind}，它无法变成文本。",
        "它自己的代码引发了 {said}。",
        "在那里放一段文本：name_of_text = ...",
    ),
    "options-conflict": (
        "{one} 和 {other} 不能一起使用。",
        "{reason}",
        "去掉其中一个",
    ),
    "character-invalid": (
        "文本中有不存在的字符。",
        "它是代理对的一半（孤立代理项），无法用 UTF-8 表示。",
        '先清理：text = text.encode("utf-8", "replace").decode()',
    ),
    # pictures
    "picture-missing": (
        "没有图片 {path}。",
        "{reason}",
        "-i 接受变量名、路径，或 plots/*.png 这样的模式",
    ),
    "picture-unreadable": (
        "{source} 不是可读取的图片。",
        "{reason}",
        "用其他程序打开并另存为 PNG",
    ),
    "picture-too-large": (
        "图片 {source} 太大。",
        "{reason}",
        "先将其缩小",
    ),
    "picture-is-text": (
        "{source} 是文本，不是图片。",
        "变量中的普通字符串不会被当作路径。",
        "如果它是路径：from pathlib import Path; {source} = Path({source})",
    ),
    "picture-type-unknown": (
        "{source} 不是已知类型的图片。",
        "{reason}",
        "提供 Path、bytes、PIL 图片、数组（高, 宽[, 3 或 4]）、figure，或它们的列表",
    ),
    "figure-failed": (
        "无法绘制图形 {source}。",
        "{reason}",
        "先在单独的单元格中显示它，并修正其中的问题",
    ),
    # where the server is, and which model
    "format-unsupported": (
        "{kind} 不能用作格式：无法由它生成 JSON Schema。",
        "{reason}。",
        "可用：dataclass、TypedDict、pydantic 模型、list[T]、Literal、Enum、含 JSON Schema 的 dict，或单词 json",
    ),
    "format-class-unknown": (
        "{kind} 引用了找不到的类：{name}。",
        "引用自身或用引号引用的类，会在笔记本的顶层查找。",
        "在单元格中（不要在函数内）定义 {name}，并先运行该单元格",
    ),
    "format-class-twice": (
        "{kind} 中有两个同名的不同类。",
        "单元格再次运行时会重新生成其中的类，而其他类仍引用旧的类。",
        "从头重新运行定义这些类的所有单元格",
    ),
    "format-invalid": (
        "{kind} 不是格式。",
        "-f 之后是单词 json，或笔记本中给出类型或 dict 的表达式。",
        '-f json   ·   -f Person   ·   -f "list[Person]"',
    ),
    "schema-unsupported": (
        "服务器无法由此 JSON Schema 生成语法。",
        "{place} 处写着 {said}。",
        "去掉该处，或换一种写法；引用形如 #/$defs/Name，且不能引用根",
    ),
    "object-cut": (
        "回答在 {most} 个 token 处被截断，对象不完整。",
        "在 {characters} 个字符之后，服务器给出的结束原因是 length。",
        "已有文本在 _ollama.text 中；用 --max-tokens 提高上限，或减少要求",
    ),
    "object-invalid": (
        "回答不符合所要求的格式。",
        "{reason}",
        "文本在 _ollama.text 中；再次运行，在提示中说明所需内容，或换用更大的模型",
    ),
    "pandas-missing": (
        "生成 DataFrame 需要 pandas，当前环境中没有。",
        "无法导入它；.value 中有同样的内容。",
        "%pip install pandas",
    ),
    "object-missing": (
        "此回答中没有对象。",
        "提问时没有指定格式，或回答不完整。",
        "用 -f json 或 -f TYPE 提问；文本在 .text 中",
    ),
    "tool-unsupported": (
        "{function} 不能提供给模型。",
        "{reason}",
        'def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    return a + b',
    ),
    "tool-unconfirmed": (
        "模型想运行 {call}，但无法询问任何人。",
        "没有运行任何函数：此单元格无法输入回答。",
        "不询问而运行所有调用：--yes\n在 Python 中：om.chat(prompt, tools=functions, confirm=function)，该函数得到调用并返回 True 或 False",
    ),
    "tool-calls-too-many": (
        "模型一次想进行 {count} 个调用。",
        "每轮最多允许 {most} 个，因此一个也没有运行。",
        "每次少问一些，或换用更大的模型",
    ),
    "tool-rounds-too-many": (
        "模型一直在调用函数。",
        "在 {most} 轮调用之后它仍想继续。",
        "这些调用在 _ollama.tool_calls 中；每次少问一些，或换用更大的模型",
    ),
    "tools-need-chat": (
        "只有在对话中才能调用函数。",
        "提示会发送到 /api/generate，它不支持函数。",
        "%ollama_config --type chat，或去掉 --generate",
    ),
    "request-refused": (
        "服务器拒绝了请求（{status}）。",
        "它说：{said}",
        "%ollama_check",
    ),
    "answer-unreadable": (
        "无法读取服务器的回答。",
        "{reason}",
        "%ollama_check",
    ),
    "pull-failed": (
        "未能拉取 {model}。",
        "{reason}",
        "在 https://ollama.com/library 查找名称；网络和磁盘指服务器所在机器的",
    ),
    "host-unknown": (
        "找不到名称 {host}。",
        "域名解析返回：{reason}。",
        "检查拼写\n查找 Ollama 在哪里应答：%ollama_check",
    ),
    "lookup-failed": (
        "此处无法解析名称：{host}。",
        "{reason}",
        "打开网络（Kaggle：Settings → Internet），或用 IP 地址代替名称",
    ),
    "address-refused": (
        "{url} 没有应答。",
        "{host} 拒绝了端口 {port} 上的连接；在本内核所在的机器上，第一条命令会启动 Ollama。",
        "ollama serve\n在别处：%ollama_config --base-url http://HOST:11434\n没有：%ollama_config --sandbox",
    ),
    "address-refused-container": (
        "{url} 没有应答：在容器中，它指的是容器自身。",
        "{refused} 拒绝连接；{signs}。",
        "%ollama_check",
    ),
    "address-refused-wsl": (
        "{url} 没有应答：在 WSL 中它指 Linux 一侧，而 Ollama 可能运行在 Windows 上。",
        "{refused} 拒绝连接；{signs}。",
        "%ollama_check",
    ),
    "address-refused-remote": (
        "{host} 存在，但没有 Ollama 在其上监听。",
        "{refused} 拒绝连接：Ollama 很可能只监听那台机器的回环地址。",
        "%ollama_check",
    ),
    "address-silent": (
        "{url} 没有应答。",
        "{reason}",
        "%ollama_check\n在别处：%ollama_config --base-url http://HOST:11434",
    ),
    "address-family-refused": (
        "Ollama 没有监听 {host}，只监听另一种地址（IPv4/IPv6）。",
        "{refused} 拒绝连接；{found} 有应答。",
        "%ollama_check",
    ),
    "address-family-slow": (
        "{host} 较慢：它的第一个地址没有应答。",
        "{slow} 没有立即应答，{fast} 应答了。",
        "%ollama_config --base-url {url}",
    ),
    "address-is-wildcard": (
        "{host} 是用于监听的地址，不能用来连接。",
        "0.0.0.0、:: 和 * 表示一台机器的所有地址。",
        "%ollama_config --base-url http://127.0.0.1:{port}",
    ),
    "address-refused-cloud": (
        "{url} 没有应答：本内核运行在云端（{place}），那里尚未启动任何服务。",
        "{refused} 拒绝连接；{signs}。",
        '!curl -fsSL https://ollama.com/install.sh | sh\nimport subprocess; subprocess.Popen(["ollama", "serve"])\n!ollama pull llama3.2',
    ),
    "address-refused-hub": (
        "{url} 没有应答：本内核运行在远程机器上，而 Ollama 可能在您的机器上。",
        "{refused} 拒绝连接；{signs}。",
        "在您的机器上：ssh -N -R 11434:127.0.0.1:11434 USER@SERVER\n或在此处：ollama serve",
    ),
    "connection-broken": (
        "与 {url} 的连接断开。",
        "{reason}",
        "%ollama_check",
    ),
    "not-http": (
        "{url} 上监听的服务不使用 HTTP。",
        "它说：{said}",
        "询问 {host} 上 Ollama 的端口；默认是 11434",
    ),
    "https-to-http": (
        "无法与 {url} 建立安全连接：它使用普通 http。",
        "TLS 库返回：{reason}。",
        "用 http:// 代替 https://，Ollama 本身使用 http",
    ),
    "http-to-https": (
        "{url} 使用 https，而不是 http。",
        "它说：{said}",
        "用 https:// 代替 http://",
    ),
    "certificate-rejected": (
        "{url} 的证书不被接受。",
        "{reason}",
        "{trust}",
    ),
    "tls-failed": (
        "与 {url} 的安全连接未能完成。",
        "{reason}",
        "查明中间是什么（读取 TLS 的代理、错误的端口），并绕过它再试",
    ),
    "proxy-answered": (
        "代理代替 {host} 作了应答。",
        "{proxy} 返回 {status}：{said}。",
        "NO_PROXY=localhost,127.0.0.1,::1,{host}\n在内核启动之前设置；由内核读取",
    ),
    "proxy-failed": (
        "本内核与 {url} 之间的代理出错。",
        "{reason}",
        "让该主机不经过代理：NO_PROXY={host}",
    ),
    "proxy-refused": (
        "代理不允许我们到达 {url}。",
        "{reason}",
        "为代理提供用户名和密码（HTTPS_PROXY=http://NAME:PASSWORD@PROXY），或：NO_PROXY={host}",
    ),
    "proxy-settings-unusable": (
        "本内核的代理或证书设置无法使用。",
        "{reason}",
        "检查 HTTP_PROXY、HTTPS_PROXY、ALL_PROXY、NO_PROXY 和 SSL_CERT_FILE",
    ),
    "redirect-refused": (
        "{url} 让我们转到别处，我们不会跟随。",
        "它返回 {status}，目标为 {location}。",
        "%ollama_config --base-url ADDRESS（Ollama 自身监听的地址）",
    ),
    "not-ollama": (
        "{url} 上应答的不是 Ollama。",
        "{reason}",
        "Ollama 的默认端口是 11434；查找它在哪里应答：%ollama_check",
    ),
    "path-unknown": (
        "{url} 不认识 Ollama 接口的路径。",
        "它返回 404 page not found。",
        "去掉端口之后的部分（/v1、/api），或升级过旧的 Ollama",
    ),
    "sign-in-required": (
        "{host} 上的 Ollama 未登录，而该模型在云端运行。",
        "它给出了登录链接：{link}",
        "在服务器所在的机器上：ollama signin",
    ),
    "authentication-required": (
        "{url} 的 Ollama 之前有服务要求身份验证。",
        "它返回 {status}：{asked}",
        "在地址中写入用户名和密码：--base-url http://NAME:PASSWORD@HOST，或索取密钥",
    ),
    "host-header-refused": (
        "{url} 的 Ollama 拒绝名称 {host}。",
        "它返回空的 403：只监听本机时，它只接受本地名称。",
        '使用它的 IP 地址，或让隧道发送头部 Host: localhost:11434\nngrok http 11434 --host-header="localhost:11434"\ncloudflared tunnel --url http://localhost:11434 --http-host-header="localhost:11434"\nnginx: proxy_set_header Host localhost:11434;',
    ),
    "cloud-disabled": (
        "{host} 上的 Ollama 不使用云端模型。",
        "它说：{said}",
        "在那里取消 OLLAMA_NO_CLOUD（或 server.json 中的设置），或使用本地模型",
    ),
    "cloud-key-required": (
        "ollama.com 需要密钥。",
        "它说：{said}",
        "在 https://ollama.com/settings/keys 创建，然后在内核启动前设置 OLLAMA_API_KEY",
    ),
    "server-silent": (
        "{url} 接受了请求，然后没有应答。",
        "{seconds} 秒内没有应答。",
        "%ollama_check\n大模型可能需要更久：%ollama_config --first-token-timeout 1200",
    ),
    "model-loading": (
        "{model} 仍在加载；这不是错误。",
        "服务器有应答，{seconds} 秒后 {model} 尚未进入内存。",
        "可随时停止；服务器上的 OLLAMA_LOAD_TIMEOUT 限制加载时间，keep-alive 设为 1h 可省去下次加载",
    ),
    "gateway-failed": (
        "我们与 {url} 的 Ollama 之间的网关放弃了。",
        "它返回 {status}：{said}。",
        "nginx: proxy_read_timeout 600s; proxy_buffering off;\n或绕过它：ssh -N -L 11434:127.0.0.1:11434 USER@SERVER",
    ),
    "server-busy": (
        "服务器繁忙。",
        "它说：{said}",
        "等待之前的请求完成，然后再次运行单元格",
    ),
    "server-too-old": (
        "{host} 上的 Ollama {version} 太旧。",
        "0.12.6 之前的服务器会不声不响地截断长提示。",
        "在那里升级 Ollama，然后再次运行单元格",
    ),
    "model-missing": (
        "{host} 上没有安装 {model}。",
        "{installed}",
        "ollama pull {model}{nearest}",
    ),
    "no-model-able": (
        "{host} 上没有能做到这一点的模型：{ability}。",
        "{installed}",
        "{pull}",
    ),
    "model-wrong-type": (
        "{model} 做不到：{ability}。",
        "服务器列出的能力：{capabilities}。",
        "用 -m 选择其他模型；{installed}",
    ),
    "model-not-able": (
        "{model} 做不到：{ability}。",
        "服务器列出的能力：{capabilities}。",
        "用 -m 选择其他模型；{installed}",
    ),
    "context-above-maximum": (
        "{asked} token 的上下文超过了 {model} 的设计上限。",
        "服务器列出的最大值为 {limit}，不会使用更多。",
        "%ollama_config --context {limit}",
    ),
    "context-reload": (
        "{model} 以不同的上下文加载，下次提问会重新加载。",
        "现在是 {loaded} token，表单中是 {asked}。",
        "%ollama_config --context {loaded}",
    ),
    "model-failed": (
        "服务器无法运行 {model}。",
        "它说：{said}",
        "再次运行单元格；若仍如此：减小 --context，或换更小的模型",
    ),
    "model-needs-newer-server": (
        "{model} 需要更新版本的 Ollama。",
        "服务器说：{said}",
        "在那里升级 Ollama，然后再次运行单元格",
    ),
    "model-on-cpu": (
        "{model} 在处理器上运行（GPU 占 {share}）。",
        "服务器的已加载模型列表如此显示。",
        "没有 GPU 则无需处理；否则查看服务器日志：journalctl -u ollama -n 50",
    ),
    "certificate-not-yet-valid": (
        "{url} 的证书尚未生效。",
        "TLS 库返回：{said}。",
        "校正本机时钟（timedatectl），或索取已生效的证书",
    ),
    "picture-not-fetched": (
        "没有获取 {source}。",
        "{reason}",
        "请自行保存图片并给出路径：-i picture.png",
    ),
    "picture-is-url": (
        "{source} 是网址，未经要求不会获取任何网址。",
        "获取它会让对方服务器知道您在查看它，以及来自何处。",
        "保存图片并给出路径，或：%%ollama --allow-url -i {source}",
    ),
    "recording-no-match": (
        "{path} 中没有现在这个 {method} {route} 请求。",
        "{reason}",
        "在有服务器且未设置 OLLAMA_MAGICS_REPLAY 时重新运行所有单元格，即可重新录制",
    ),
    "recording-unreadable": (
        "无法重放 {path}。",
        "{reason}",
        "请先录制：在有服务器且未设置 OLLAMA_MAGICS_REPLAY 时运行所有单元格",
    ),
    "recording-unwritable": (
        "无法录制到 {path}。",
        "{reason}",
        "%ollama_config --record ANOTHER.json",
    ),
    "model-ambiguous": (
        "有多个已安装的模型能做到：{ability}。",
        "它们是：{models}。",
        "指定一个：-m {first}\n用于整个笔记本：%ollama_config --model {first}",
    ),
    "vision-blind": (
        "{model} 接受图片但看不见。",
        "询问纯色图片的颜色，它回答：{said}。",
        "%ollama_config --vision no，或使用能看图的模型：ollama pull gemma3",
    ),
    "vision-refused": (
        "{model} 拒绝图片。",
        "服务器说：{said}",
        "%ollama_config --vision no，或使用能看图的模型：ollama pull gemma3",
    ),
    "vectors-useless": (
        "{model} 的向量没有用处。",
        "{reason}",
        "使用专门的嵌入模型：ollama pull all-minilm",
    ),
    "tools-unused": (
        "{model} 不调用函数。",
        "要求使用函数时它回答：{said}",
        "使用其他支持函数的模型：ollama pull llama3.2",
    ),
    "thinking-unused": (
        "{model} 不显示思考过程。",
        "要求思考时它直接回答：{said}",
        "如果不需要思考过程，则无需处理",
    ),
    "answer-empty": (
        "{model} 的回答是空的。",
        "回答结束于：{reason}",
        "再次运行检查；若仍如此，换一个模型",
    ),
    "check-stopped": (
        "检查已停止。",
        "之后的步骤均未执行。",
        "%ollama_check --deep",
    ),
    # embeddings
    "texts-empty": (
        "没有可嵌入的内容。",
        "文本列表为空。",
        'x = %embed ["一段文本", "另一段"]',
    ),
    "rows-not-text": (
        "并非每一行都是文本。",
        "{found}",
        "去掉这些行，或先把它们转成文本   ·   %embed --on-error nan 或 skip",
    ),
    "input-not-texts": (
        "{kind} 不能直接嵌入。",
        "{reason}",
        "{instead}",
    ),
    "vectors-mismatch": (
        "服务器的回答与文本不符。",
        "{reason}",
        "这个回答未被使用；再次运行该单元格，若仍如此，换一个模型",
    ),
    "texts-too-long": (
        "{total} 条文本中有 {count} 条超出模型可读的长度。",
        "{found}",
        "其余的已保存：缩短或拆分这些文本   ·   --truncate（截断）   ·   --on-error nan 或 skip",
    ),
    "rows-failed": (
        "{total} 行中有 {count} 行无法嵌入。",
        "{found}",
        "其余的已保存：修正这些行后再次运行该单元格   ·   --on-error nan 或 skip",
    ),
    "model-replaced": (
        "{model} 在生成向量期间被替换。",
        "它在 {url} 的摘要先前是 {before}，现在是 {after}。",
        "再次运行该单元格：两个模型的向量不属于同一个数组",
    ),
    "models-differ": (
        "各服务器上的 {model} 不是同一个模型。",
        "它在 {second} 的摘要与在 {first} 的不同。",
        "在两处拉取同一版本，或从 --base-url 中去掉一个",
    ),
    "batch-differs": (
        "文本单独嵌入与成批嵌入的向量不同。",
        "逐条再次询问，以下各行不同：{shown}。",
        "--batch 1   ·   换一个 Ollama 版本；有些版本会混淆同时计算的内容",
    ),
    "interrupted-answer-kept": ("已中断；目前的文本保存在 _ollama 中。", "", ""),
    "interrupted-before-answer": ("在第一个词之前已中断。", "", ""),
    "interrupted-batches-kept": ("已中断；完成的批次已保存：再次运行该单元格，只会询问其余部分。", "", ""),
    "interrupted-nothing-kept": ("已中断；未保存任何内容。", "", ""),
    "interrupted-some-kept": ("已中断；向量存储出现问题，完成的批次未全部保存。", "", ""),
    "interrupted-check": ("已中断；检查未完成。", "", ""),
}
