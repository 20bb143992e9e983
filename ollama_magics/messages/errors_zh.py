"""Error texts in Chinese."""

# code: (what is wrong, how we know, what to type)
ERRORS: dict[str, tuple[str, str, str]] = {
    # addresses
    "address-unusable": (
        "{typed} 不是可用的地址。",
        "{reason}",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "port-invalid": (
        "{port} 不是有效的端口号。",
        "端口是 1 到 65535 的整数，Ollama 的默认端口是 11434。",
        "%ollama_config --base-url http://127.0.0.1:11434\n设置模型：%ollama_config --model NAME",
    ),
    "scheme-unsupported": (
        "不支持以 {scheme}: 开头的地址。",
        "Ollama 只支持 http 和 https。",
        "%ollama_config --base-url http://127.0.0.1:11434",
    ),
    "address-is-model": (
        "{model} 看起来是模型名称，不是地址。",
        "地址由主机和端口组成，例如 127.0.0.1:11434。",
        "%ollama_config --model {model}",
    ),
    "password-ambiguous": (
        "无法从地址中分离出用户名和密码。",
        "@ 之前有空格、/、\\、? 或 #。",
        "在用户名或密码中将这些字符写成 %20、%2F、%5C、%3F 或 %23",
    ),
    # the server, the network between, and the model
    "host-unknown": (
        "找不到主机名 {host}。",
        "域名解析返回：{reason}。",
        "检查拼写\n查找可用的 Ollama 地址：%ollama_check",
    ),
    "lookup-failed": (
        "此处无法解析主机名：{host}。",
        "{reason}",
        "用 IP 地址代替主机名：%ollama_config --base-url http://192.168.1.20:11434\n在 Kaggle 上，开启 Settings → Internet",
    ),
    "address-refused": (
        "{url} 没有响应。",
        "{host} 拒绝了端口 {port} 上的连接；在内核所在的机器上运行第一条命令即可启动 Ollama。",
        "在那台机器上：ollama serve\n其他服务器：%ollama_config --base-url http://HOST:11434\n没有 Ollama：%ollama_config --sandbox",
    ),
    "address-refused-container": (
        "{url} 没有响应：在容器中，该地址指容器自身。",
        "{refused} 拒绝了连接；{evidence}。",
        "%ollama_check",
    ),
    "address-refused-wsl": (
        "{url} 没有响应：在 WSL 中，该地址指 Linux，而 Ollama 可能运行在 Windows 上。",
        "{refused} 拒绝了连接；{evidence}。",
        "%ollama_check",
    ),
    "address-refused-remote": (
        "{host} 可达，但其上的 Ollama 不接受连接。",
        "{refused} 拒绝了连接：Ollama 很可能只监听那台机器的回环地址。",
        "%ollama_check",
    ),
    "address-silent": (
        "{url} 没有响应。",
        "{reason}",
        "%ollama_check\n其他服务器：%ollama_config --base-url http://HOST:11434",
    ),
    "address-family-refused": (
        "Ollama 没有监听 {host}，只监听另一种地址（IPv4 或 IPv6）。",
        "{refused} 拒绝了连接；{found} 有响应。",
        "%ollama_check",
    ),
    "address-family-slow": (
        "{host} 响应慢：它的第一个地址没有响应。",
        "{slow} 没有立即响应，{fast} 有响应。",
        "%ollama_config --base-url {url}",
    ),
    "address-is-wildcard": (
        "{host} 是监听地址，不能用于连接。",
        "0.0.0.0、:: 和 * 表示一台机器的所有地址。",
        "%ollama_config --base-url http://127.0.0.1:{port}",
    ),
    "address-refused-cloud": (
        "{url} 没有响应：内核运行在云端（{place}），Ollama 尚未在那里启动。",
        "{refused} 拒绝了连接；{evidence}。",
        '!curl -fsSL https://ollama.com/install.sh | sh\nimport subprocess; subprocess.Popen(["ollama", "serve"])\n!ollama pull llama3.2',
    ),
    "address-refused-hub": (
        "{url} 没有响应：内核运行在远程机器上，而 Ollama 可能在您的机器上。",
        "{refused} 拒绝了连接；{evidence}。",
        "在你的机器上：ssh -N -R 11434:127.0.0.1:11434 USER@SERVER\n或在这台机器上：ollama serve",
    ),
    "connection-broken": (
        "与 {url} 的连接已断开。",
        "{reason}",
        "%ollama_check",
    ),
    "not-http": (
        "{url} 上的服务不是 HTTP 服务。",
        "它发送了：{said}",
        "Ollama，如果就在那台机器上：%ollama_config --base-url http://{host}:11434",
    ),
    "https-to-http": (
        "无法与 {url} 建立 TLS 连接：服务器使用 http。",
        "TLS 库返回：{reason}。",
        "%ollama_config --base-url {other}",
    ),
    "http-to-https": (
        "{url} 使用 https，而不是 http。",
        "服务器返回：{said}",
        "%ollama_config --base-url {other}",
    ),
    "certificate-rejected": (
        "{url} 的证书未通过验证。",
        "{reason}",
        "{trust}",
    ),
    "tls-failed": (
        "与 {url} 的 TLS 连接失败。",
        "{reason}",
        "不使用 TLS（Ollama 自身即如此）：%ollama_config --base-url http://{host}:11434\n不经过拦截 TLS 的代理：%ollama_config --proxy none",
    ),
    "proxy-answered": (
        "返回响应的是代理，而不是 {host}。",
        "{proxy} 返回 {status}：{said}。",
        "不使用代理：%ollama_config --proxy none\n对所有程序，在内核启动前：export NO_PROXY={host}",
    ),
    "proxy-failed": (
        "内核与 {url} 之间的代理出错。",
        "{reason}",
        "不使用代理：%ollama_config --proxy none\n使用其他代理：%ollama_config --proxy http://HOST:3128",
    ),
    "proxy-refused": (
        "代理拒绝了到 {url} 的连接。",
        "{reason}",
        "不使用代理：%ollama_config --proxy none\n使用用户名和密码：\nimport getpass, urllib.parse; quote = urllib.parse.quote\nproxy = f\"http://{{quote(input('user name: '), '')}}:{{quote(getpass.getpass(), '')}}@HOST:3128\"\n%ollama_config --proxy $proxy",
    ),
    "proxy-settings-unusable": (
        "内核的代理或证书设置不可用。",
        "{reason}",
        "不使用代理：%ollama_config --proxy none\n或在内核启动前更正环境变量 HTTP_PROXY、HTTPS_PROXY、ALL_PROXY 和 SSL_CERT_FILE",
    ),
    "redirect-refused": (
        "{url} 重定向到了其他地址；不会跟随重定向。",
        "它返回 {status}，Location 为 {location}。",
        "Ollama 自身的地址：%ollama_config --base-url http://HOST:11434",
    ),
    "not-ollama": (
        "{url} 上的服务不是 Ollama。",
        "{reason}",
        "Ollama 的默认端口是 11434\n查找可用的 Ollama 地址：%ollama_check",
    ),
    "path-unknown": (
        "{url} 不是 Ollama API 的地址。",
        "它返回 404 page not found。",
        "去掉端口之后的部分：%ollama_config --base-url {origin}\n若本来就没有，请确认 Ollama 自身的端口（11434），或升级 Ollama",
    ),
    "sign-in-required": (
        "{host} 上的 Ollama 未登录 ollama.com，而该模型在云端运行。",
        "{seen}",
        "在那台机器上：ollama signin",
    ),
    "authentication-required": (
        "{url} 需要身份验证。",
        "它返回 {status}：{asked}",
        "%ollama_config --api-key",
    ),
    "password-required": (
        "{url} 需要用户名和密码。",
        "它返回 {status}：{asked}",
        "import getpass, urllib.parse; quote = urllib.parse.quote\nurl = f\"{scheme}://{{quote(input('user name: '), '')}}:{{quote(getpass.getpass(), '')}}@{place}\"\n%ollama_config --base-url $url",
    ),
    "key-refused": (
        "{url} 拒绝了密钥。",
        "请求带有密钥，它返回 {status}：{asked}",
        "%ollama_config --api-key",
    ),
    "subscription-required": (
        "{model} 需要 ollama.com 的订阅。",
        "服务器返回：{said}",
        "使用其他模型：%ollama_config --model NAME\n订阅方案：https://ollama.com/upgrade",
    ),
    "host-header-refused": (
        "{url} 上的 Ollama 拒绝主机名 {host}。",
        "它返回空的 403：只监听回环地址时，它只接受本地主机名。",
        "使用它的 IP 地址，或让隧道发送其他 Host 标头：\nngrok http 11434 --host-header=localhost:11434\ncloudflared tunnel --url http://localhost:11434 --http-host-header localhost:11434\n在 nginx 中：proxy_set_header Host localhost:11434;",
    ),
    "cloud-disabled": (
        "{host} 上的 Ollama 已禁用云端模型。",
        "它返回：{said}",
        "使用本地模型：%ollama_config --model NAME\n若要允许云端，请在服务器上取消 OLLAMA_NO_CLOUD（或 server.json 中的设置）",
    ),
    "cloud-key-required": (
        "ollama.com 需要 API 密钥。",
        "它返回：{said}",
        "使用 https://ollama.com/settings/keys 的密钥：%ollama_config --api-key",
    ),
    "server-silent": (
        "{url} 接受了请求，但没有响应。",
        "{seconds} 秒内没有响应。",
        "%ollama_check\n大模型可能需要更长时间：%ollama_config --first-token-timeout 1200",
    ),
    "model-loading": (
        "{model} 仍在加载；这不是错误。",
        "服务器有响应，但 {seconds} 秒后 {model} 尚未载入内存。",
        "请等待，或中断单元格\n服务器上的 OLLAMA_LOAD_TIMEOUT 限制加载时间；--keep-alive 1h 可避免下次重新加载",
    ),
    "gateway-failed": (
        "{url} 的网关无法连接 Ollama。",
        "它返回 {status}：{said}。",
        "在网关后面的机器上：ollama serve\n绕过网关：ssh -N -L 11434:127.0.0.1:11434 USER@SERVER",
    ),
    "gateway-timeout": (
        "{url} 的网关没有等到 Ollama 的回答。",
        "它返回 {status}：{said}。",
        "在 nginx 中延长等待：proxy_read_timeout 600s; proxy_buffering off;\n绕过网关：ssh -N -L 11434:127.0.0.1:11434 USER@SERVER",
    ),
    "request-too-large": (
        "{url} 的网关不接受这么大的请求。",
        "它返回 {status}：{said}。",
        "在 nginx 中提高上限：client_max_body_size 100m;\n或减小、减少图片，缩短提示词，或减少每批文本数（--batch 16）",
    ),
    "usage-limit-reached": (
        "已达到服务器的用量上限。",
        "服务器返回：{said}",
        "等待额度恢复，或使用本地模型：%ollama_config --model NAME",
    ),
    "server-busy": (
        "服务器繁忙。",
        "服务器返回：{said}",
        "等待之前的请求完成，然后重新运行该单元格",
    ),
    "server-too-old": (
        "{host} 上的 Ollama {version} 版本过旧。",
        "0.12.6 之前的版本会截断过长的提示词，且不报错。",
        "在 Linux 上升级 Ollama：curl -fsSL https://ollama.com/install.sh | sh\n在 macOS 和 Windows 上重新安装：https://ollama.com/download",
    ),
    "model-missing": (
        "{host} 上未安装 {model}。",
        "{installed}",
        "{nearest}%ollama_pull {model}",
    ),
    "no-model-able": (
        "{host} 上没有支持该功能的模型：{ability}。",
        "{installed}",
        "{pull}",
    ),
    "only-cloud-models": (
        "{host} 上只安装了云端模型。",
        "它们运行在 ollama.com，提示词会发送到那里，因此不会自动选用：{models}。",
        "使用其中一个：%ollama_config --model {first}\n安装本地模型：{pull}",
    ),
    "model-wrong-type": (
        "{model} 不支持：{ability}。",
        "服务器列出的能力：{capabilities}。",
        "{installed}",
    ),
    "model-not-able": (
        "{model} 不支持：{ability}。",
        "服务器列出的能力：{capabilities}。",
        "{installed}",
    ),
    "context-above-maximum": (
        "{asked} 个 token 的上下文超过了 {model} 的上限。",
        "服务器列出的上限为 {limit} 个 token，不会使用更多。",
        "%ollama_config --context {limit}",
    ),
    "context-reload": (
        "{model} 加载时的上下文长度不同，下次提问会重新加载。",
        "加载时为 {loaded} 个 token，设置为 {asked}。",
        "%ollama_config --context {loaded}",
    ),
    "model-failed": (
        "服务器无法运行 {model}。",
        "服务器返回：{said}",
        "重新运行该单元格；若仍失败，请减小 --context，或换用更小的模型",
    ),
    "model-needs-newer-server": (
        "{model} 需要更新版本的 Ollama。",
        "服务器返回：{said}",
        "在 Linux 上升级 Ollama：curl -fsSL https://ollama.com/install.sh | sh\n在 macOS 和 Windows 上重新安装：https://ollama.com/download",
    ),
    "model-on-cpu": (
        "{model} 在 CPU 上运行（GPU 占 {share}）。",
        "服务器的已加载模型列表如此显示。",
        "没有 GPU 时属正常现象；若有 GPU，请查看服务器日志：journalctl -u ollama -n 50",
    ),
    "certificate-not-yet-valid": (
        "{url} 的证书尚未生效。",
        "TLS 库返回：{said}。",
        "校准本机时钟：sudo timedatectl set-ntp true\n或换用已生效的证书",
    ),
    "model-ambiguous": (
        "有多个已安装的模型支持：{ability}。",
        "可选：{models}。",
        "选择一个：-m {first}\n用于整个笔记本：%ollama_config --{setting} {first}",
    ),
    "vision-blind": (
        "{model} 接受图片，但看不到图片内容。",
        "询问纯色图片的颜色时，它回答：{said}。",
        "%ollama_config --vision no\n安装视觉模型：%ollama_pull gemma3",
    ),
    "vision-refused": (
        "{model} 拒绝接收图片。",
        "服务器返回：{said}",
        "%ollama_config --vision no\n安装视觉模型：%ollama_pull gemma3",
    ),
    "vectors-useless": (
        "{model} 的向量不可用。",
        "{reason}",
        "使用嵌入模型：%ollama_pull all-minilm",
    ),
    "tools-unused": (
        "{model} 未调用函数。",
        "要求调用函数时，它回答：{said}",
        "使用支持函数调用的模型：%ollama_pull llama3.2",
    ),
    "thinking-unused": (
        "{model} 不返回思考过程。",
        "要求思考时，它直接回答：{said}",
        "如果不需要思考过程，则无需处理",
    ),
    "answer-empty": (
        "{model} 返回了空的回答。",
        "服务器给出的结束原因：{reason}",
        "%ollama_check --deep\n若再次失败，换用其他模型：%ollama_config --model NAME",
    ),
    "check-stopped": (
        "检查已停止。",
        "之后的步骤均未执行。",
        "%ollama_check --deep",
    ),
    # what the server answered
    "request-refused": (
        "服务器拒绝了请求（{status}）。",
        "服务器返回：{said}",
        "%ollama_check",
    ),
    "option-refused": (
        "服务器不接受选项 {option}。",
        "服务器返回：{said}",
        "去掉它：-O {option}",
    ),
    "schema-refused": (
        "服务器无法使用该回答的 schema。",
        "服务器返回：{said}",
        "任意对象，不带 schema：-f json",
    ),
    "answer-unreadable": (
        "无法解析服务器的回答。",
        "{reason}",
        "%ollama_check",
    ),
    "pull-failed": (
        "未能拉取 {model}。",
        "{reason}",
        "在 https://ollama.com/library 核对名称，并检查服务器的网络和磁盘空间",
    ),
    "model-name-invalid": (
        "{model} 不是模型名称。",
        "名称由字母、数字、点、连字符和下划线组成，例如 llama3.2、gemma3:4b 或 hf.co/USER/REPOSITORY。",
        "{nearest}在此查找：https://ollama.com/search",
    ),
    "pull-unknown": (
        "没有可拉取的模型 {model}。",
        "{reason}",
        "在此查找：https://ollama.com/search",
    ),
    "pull-denied": (
        "模型仓库拒绝向该服务器提供 {model}。",
        "{reason}",
        "私有或受限模型需要登录并接受许可：在 {host} 上运行 ollama signin",
    ),
    "pull-format": (
        "Ollama 无法运行 {model} 的格式。",
        "{reason}",
        "选择其他仓库或量化：https://huggingface.co/models?library=gguf",
    ),
    "pull-limited": (
        "模型仓库限制了下载次数。",
        "{reason}",
        "几分钟后：%ollama_pull {model}",
    ),
    "pull-no-network": (
        "{host} 无法连接模型仓库，未拉取 {model}。",
        "{reason}",
        "请检查 {host} 的网络和域名解析；若需代理，请在运行 ollama serve 处设置 HTTPS_PROXY\n然后：%ollama_pull {model}",
    ),
    "pull-tls": (
        "{host} 不信任模型仓库的证书，未拉取 {model}。",
        "{reason}",
        "代理可能替换了证书：请将其颁发机构加入 {host} 的系统证书，并重启 Ollama\n然后：%ollama_pull {model}",
    ),
    "pull-proxy": (
        "{host} 的代理未放行 {model} 的下载。",
        "{reason}",
        "请检查运行 ollama serve 处的 HTTPS_PROXY\n然后：%ollama_pull {model}",
    ),
    "pull-disk-full": (
        "{host} 的磁盘空间不足，无法存放 {model}。",
        "{reason}",
        "查看占用空间的模型：%ollama_models\n删除一个模型：%ollama_rm NAME\n然后继续：%ollama_pull {model}",
    ),
    "pull-not-writable": (
        "{host} 上的 Ollama 无法写入模型目录。",
        "{reason}",
        "请给运行 Ollama 的用户写权限，或将 OLLAMA_MODELS 设为其他目录\n然后：%ollama_pull {model}",
    ),
    "pull-digest": (
        "{model} 的一部分在下载中损坏。",
        "{reason}",
        "重新下载：%ollama_pull {model}",
    ),
    "pull-cancelled": (
        "服务器上的 {model} 下载已被取消。",
        "{reason}",
        "已下载的部分会保留；继续下载：%ollama_pull {model}",
    ),
    "pull-interrupted": (
        "拉取 {model} 时，{host} 与模型仓库的连接中断。",
        "{reason}",
        "已下载的部分会保留；继续下载：%ollama_pull {model}",
    ),
    "pull-registry-failed": (
        "拉取 {model} 时模型仓库出错。",
        "{reason}",
        "几分钟后：%ollama_pull {model}",
    ),
    # incomplete answers
    "stream-incomplete": (
        "回答被截断。",
        "数据流在 {characters} 个字符后结束，缺少最后一行。",
        "已有文本在 _ollama.text 中；请重新运行该单元格",
    ),
    "model-stuck": (
        "模型陷入停滞，已被服务器终止。",
        "服务器在 {characters} 个字符后结束了回答。{seen}",
        "已有文本在 _ollama.text 中；请更换提示词、--temperature 或模型后重试",
    ),
    "stream-error": (
        "服务器中断了回答。",
        "在 {characters} 个字符后服务器返回：{said}",
        "已有文本在 _ollama.text 中；请重新运行该单元格",
    ),
    "stream-stalled": (
        "回答停滞。",
        "收到 {characters} 个字符后，{seconds} 秒内没有新内容。",
        "已有文本在 _ollama.text 中；延长等待时间：%ollama_config --idle-timeout 600",
    ),
    "answer-endless": (
        "服务器没有结束回答。",
        "收到 {characters} 个字符后服务器仍在输出：{most}（回答上限 {tokens} 个 token）。",
        "已有文本在 _ollama.text 中；请更换模型，或设置更大的 --max-tokens N",
    ),
    "stream-unreadable": (
        "回答因出现无法解析的行而中断。",
        "{reason}",
        "已有文本在 _ollama.text 中；请重新运行该单元格",
    ),
    "context-full": (
        "回答已到达上下文末尾。",
        "提示词和回答共占用 {used} / {limit} 个 token；使用 --strict 时不会丢弃任何内容。",
        "已有文本在 _ollama.text 中；用 --context N 增大上下文，再用 --continue 继续",
    ),
    # prompts
    "conversation-too-long": (
        "对话超出了 {model} 的上下文长度。",
        "连同之前的 {turns} 轮约有 {tokens} 个 token，上下文为 {limit}；使用 --strict 时不会省略任何一轮。",
        "去掉 --strict，用 --new 开始新对话，或用 --context N 增大上下文",
    ),
    "left-out": (
        "模型无法收到全部内容；因为使用了 --strict，所以没有发送。",
        "{notes}",
        "先缩短或转换内容，或去掉 --strict",
    ),
    "nothing-to-continue": (
        "没有可以继续的被截断的回答。",
        "{seen}",
        "输入新的提示词，不加 --continue",
    ),
    "continue-with-prompt": (
        "--continue 不接受新的提示词。",
        "单元格的文本与回答被截断的那条提示词不同。",
        "清空单元格，或去掉 --continue",
    ),
    "nothing-to-undo": (
        "没有可以撤销的操作。",
        "这个对话没有丢弃过任何一轮。",
        "查看所有对话：%ollama_history --chats",
    ),
    "conversation-unreadable": (
        "无法将 {path} 作为对话载入。",
        "{reason}没有任何改动。",
        "保存对话：%ollama_history --save FILE\n载入对话：%ollama_history --load FILE",
    ),
    "conversation-unwritable": (
        "无法将对话保存到 {path}。",
        "{reason}",
        "请使用其他文件：%ollama_history --save FILE",
    ),
    "messages-invalid": (
        "第 {number} 条消息不能用于对话。",
        "{reason}",
        'chat = om.Conversation([{{"role": "user", "content": "Hi"}}, {{"role": "assistant", "content": "Hello"}}])',
    ),
    "conversation-unknown": (
        "没有名为 {name} 的对话。",
        "{seen}",
        "开始该对话：%ollama --chat {name} Hello",
    ),
    "prompt-too-long": (
        "提示词超过了 {model} 的上下文长度。",
        "{said}",
        "缩短提示词，用 --new 开始新对话，或用 --context N 增大上下文",
    ),
    "prompt-empty": (
        "提示词为空。",
        "选项之后没有文本。",
        "在单元格中输入提示词，或：%ollama 什么是 Python？",
    ),
    "rows-without-label": (
        "{total} 个文本中有 {count} 个没有标签。",
        "第 {row} 行：{reason}",
        "其余结果已保留：修正这些文本后重新调用，或使用 om.map(texts, prompt, labels=labels)，其结果含有 error 列",
    ),
    "experiment-invalid": (
        "无法进行这个实验。",
        "{reason}",
        'om.experiment(df, prompts={{"short": "What is it? {{{{text}}}}"}}, models=["a", "b"], labels=[...], truth="kind")',
    ),
    "labels-invalid": (
        "这些标签无法使用。",
        "{reason}",
        '%%ollama --each df --labels praise,complaint,question   或在 Python 中：labels=["praise", "complaint"]',
    ),
    "label-unknown": (
        "模型没有选择任何标签。",
        "回答中概率最高的 {count} 个 token 里没有任何标签的字母。",
        "在提示词中说明各标签的含义，或换一个模型",
    ),
    "labels-need-logprobs": (
        "标签需要对数概率，而回答中没有。",
        "{seen}",
        "使用在该服务器上运行的模型，以及 Ollama 0.12.11 或更新的版本；或用 -f 加上包含各标签的 Enum",
    ),
    "labels-need-thinking-off": (
        "{model} 总是先思考，因此第一个 token 不是标签。",
        "标签取自第一个 token 的概率。",
        "使用直接回答的模型；或用 -f 加上包含各标签的 Enum",
    ),
    "experiment-unknown-run": (
        "实验中没有唯一对应 {name} 的一组结果。",
        "现有：{known}。",
        "请指明其中之一：exp.confusion(model, prompt)",
    ),
    "experiment-no-truth": (
        "实验不知道哪些回答是正确的。",
        "创建时没有给出真实标签所在的列，或没有 --labels。",
        'om.experiment(df, prompts=..., models=..., labels=[...], truth="column")',
    ),
    "experiment-unwritable": (
        "无法将实验保存到 {path}。",
        "{reason}",
        '请使用其他文件：exp.save("FILE")',
    ),
    "experiment-unreadable": (
        "{path} 中没有实验数据。",
        "{said}",
        '读取 exp.save 写出的文件：om.Experiment.load("FILE")',
    ),
    "system-name-unknown": (
        "系统提示词中有 {{{{{name}}}}}，但笔记本中没有 {name}。",
        "{nearest}",
        "先定义 {name}\n若要原样发送花括号：\\{{{{{name}}}}}，或用 --no-fill 保留整个单元格的花括号",
    ),
    "system-uses-column": (
        "系统提示词中的 {{{{{name}}}}} 是数据中的一列。",
        "所有行共用同一个系统提示词，服务器只需读取一次。",
        "请将 {{{{{name}}}}} 写入提示词",
    ),
    "name-unknown": (
        "提示词中有 {{{{{name}}}}}，但笔记本中没有 {name}。",
        "{nearest}",
        "先定义 {name}\n若要原样发送花括号：\\{{{{{name}}}}}，或用 --no-fill 保留整个单元格的花括号",
    ),
    "prompt-file-unreadable": (
        "无法读取提示词文件 {path}。",
        "{reason}",
        "从文件读取提示词：--prompt-file FILE\n从文件读取系统提示词：-s @FILE\n若文本以 @ 开头：-s $text",
    ),
    "text-is-path": (
        "{path} 是一个文件，而系统提示词应为文本。",
        "模型只会收到路径，而不是文件的内容。",
        '%ollama -s @"{path}" …',
    ),
    "name-unassigned": (
        "运行到该行时，{name} 还没有值。",
        "它是 {function} 的变量，尚未赋值或已被删除。",
        "在该行之前给 {name} 赋值",
    ),
    "name-not-captured": (
        "{name} 是 {outer} 的变量，其内部的 {function} 没有保留它。",
        "Python 只保留 {function} 的代码用到的名称，而提示词和选项不是代码。",
        "在 {function} 中、该行之前写：{name}_here = {name}\n然后改用 {name}_here",
    ),
    "value-part-missing": (
        "{{{{{path}}}}} 不存在。",
        "{owner} 没有这一部分（{said}）。{nearest}",
        "更正它；若要原样发送花括号：\\{{{{{path}}}}}，或用 --no-fill 保留整个单元格的花括号",
    ),
    "expression-in-braces": (
        "{typed} 是表达式；花括号中只能是名称，可带属性和常量下标。",
        "花括号中的内容不会被调用或计算。",
        "{name} = {expression}\n然后在提示词中写：{{{{{name}}}}}\n若要原样发送花括号：用 --no-fill，或在前面加反斜杠",
    ),
    "value-not-text": (
        "{{{{{name}}}}} 无法作为文本发送：类型为 {kind}。",
        "{reason}",
        "{line}\n然后在提示词中写：{{{{{new}}}}}",
    ),
    "value-is-picture": (
        "{{{{{name}}}}} 是图片，而提示词是文本。",
        "{name} 的类型是 {kind}；模型只会读到它的名称。",
        "作为图片发送：-i {name}",
    ),
    "value-part-is-picture": (
        "{{{{{name}}}}} 是图片，而提示词是文本。",
        "{name} 的类型是 {kind}；模型只会读到它的名称。",
        "{new} = {name}\n然后作为图片发送：-i {new}",
    ),
    "value-unprintable": (
        "{{{{{name}}}}} 是 {kind}，无法转换为文本。",
        "其自身的代码引发了 {said}。",
        "改用一段文本：name_of_text = ...",
    ),
    "options-conflict": (
        "{one} 和 {other} 不能同时使用。",
        "{reason}",
        "去掉其中一个",
    ),
    "character-invalid": (
        "文本中有无效字符。",
        "它是孤立的代理项，无法用 UTF-8 编码。",
        '先替换它：text = text.encode("utf-8", "replace").decode()',
    ),
    "prompt-is-messages": (
        "提示词必须是文本，不能是消息列表。",
        "最后一条之前的消息是对话。",
        'om.chat(messages[-1]["content"], conversation=om.Conversation(messages[:-1]))',
    ),
    "prompt-not-text": (
        "提示词必须是文本，不能是 {kind}。",
        "只能向模型发送文本。",
        'om.chat("什么是 Python？")',
    ),
    # embeddings
    "texts-empty": (
        "没有可嵌入的内容。",
        "文本列表为空。",
        'x = %embed ["一段文本", "另一段"]',
    ),
    "rows-not-text": (
        "有些行不是文本。",
        "{found}",
        "去掉这些行，或先转换为文本   ·   %embed --on-error nan 或 skip",
    ),
    "input-not-texts": (
        "{kind} 不能直接嵌入。",
        "{reason}",
        "{instead}",
    ),
    "vectors-mismatch": (
        "服务器的回答与文本不对应。",
        "{reason}",
        "该回答已丢弃；重新运行该单元格，若仍失败，换一个模型",
    ),
    "texts-too-long": (
        "{total} 条文本中有 {count} 条超出模型的上下文长度。",
        "{found}",
        "其余的已保存：缩短或拆分这些文本   ·   --truncate（截断）   ·   --on-error nan 或 skip",
    ),
    "rows-failed": (
        "{total} 行中有 {count} 行无法嵌入。",
        "{found}",
        "其余的已保存：修正这些行后重新运行该单元格   ·   --on-error nan 或 skip",
    ),
    "model-replaced": (
        "计算向量期间，{model} 被替换。",
        "它在 {url} 的摘要原为 {before}，现为 {after}。",
        "重新运行该单元格：两个模型的向量不能混在同一个数组中",
    ),
    "models-differ": (
        "各服务器上的 {model} 不是同一个模型。",
        "它在 {second} 的摘要与在 {first} 的不同。",
        "在两台服务器上拉取同一版本，或从 --base-url 中去掉一台",
    ),
    "batch-differs": (
        "部分文本单独嵌入与成批嵌入的结果不同。",
        "逐条重新嵌入后，以下各行不同：{shown}。",
        "--batch 1   ·   换用其他版本的 Ollama：有些版本会混淆同一批次中的文本",
    ),
    # pictures
    "picture-missing": (
        "找不到 {path}。",
        "{reason}",
        "-i 接受变量名、路径，或 plots/*.png 这样的通配模式",
    ),
    "picture-unreadable": (
        "{source} 不是可读取的图片。",
        "{reason}",
        "用其他程序打开并另存为 PNG",
    ),
    "pdf-unreadable": (
        "{source} 不是可读取的 PDF。",
        "{reason}",
        "用其他程序打开并重新保存或打印为 PDF；若下载不完整，请重新下载",
    ),
    "sound-unreadable": (
        "{source} 不是可读取的音频。",
        "{reason}",
        "用其他程序打开并另存为 WAV",
    ),
    "picture-no-file": (
        "无法读取 {source}。",
        "{reason}",
        "-i 接受变量、路径或 plots/*.png 这样的通配符",
    ),
    "picture-too-large": (
        "图片 {source} 太大。",
        "{reason}",
        "先将其缩小",
    ),
    "page-missing": (
        "{source} 没有第 {page} 页。",
        "它共有 {count} 页。",
        "--pages 1-{count}",
    ),
    "pages-without-document": (
        "选择了页码，但没有可以分页的文件。",
        "这个提示词没有附带图片或文档。",
        "-i report.pdf --pages {pages}",
    ),
    "pages-too-many": (
        "一个提示词中选择了 {source} 的 {most} 页以上。",
        "每一页都是一张图片，约占数百个 token。",
        "请减少页数：--pages 1-{most}",
    ),
    "pdf-needs-package": (
        "{source} 是 PDF，而用来绘制页面的 pypdfium2 未安装。",
        "在此内核中无法导入它。",
        "%pip install pypdfium2",
    ),
    "pdf-encrypted": (
        "{source} 是需要密码才能打开的 PDF。",
        "没有密码就无法绘制页面。",
        "用其他程序打开，另存为不带密码的副本",
    ),
    "sound-format": (
        "{source} 是 {kind} 格式的声音。",
        "{reason}",
        "用其他程序（如 ffmpeg）另存为 WAV",
    ),
    "sound-broken": (
        "{source} 是损坏或不完整的 WAV 文件。",
        "其中没有格式、没有采样，或提前结束。",
        "用其他程序打开并另存为 WAV",
    ),
    "picture-is-text": (
        "{source} 是文本，不是图片。",
        "变量中的字符串不会被当作路径。",
        "如果它是路径：from pathlib import Path; {source} = Path({source})",
    ),
    "picture-type-unknown": (
        "不支持 {source} 这种类型的图片。",
        "{reason}",
        "可用：Path、bytes、PIL 图片、数组（高, 宽[, 3 或 4]）、figure，或它们的列表",
    ),
    "figure-failed": (
        "无法绘制图形 {source}。",
        "{reason}",
        "先在单独的单元格中显示它，并修正其中的错误",
    ),
    "picture-not-fetched": (
        "未获取图片 {source}。",
        "{reason}",
        "请自行保存图片并提供路径：-i picture.png",
    ),
    "picture-is-url": (
        "{source} 是网址，只有使用 --allow-url 时才会获取。",
        "获取它会让对方服务器知道您在查看它，以及您的来源。",
        "保存图片并提供路径：-i picture.png\n或允许获取：%%ollama --allow-url -i {source}",
    ),
    # structured answers
    "format-unsupported": (
        "{kind} 不能用作格式：无法生成 JSON Schema。",
        "{reason}。",
        "可用：dataclass、TypedDict、pydantic 模型、list[T]、Literal、Enum、含 JSON Schema 的 dict，或单词 json",
    ),
    "format-class-unknown": (
        "{kind} 引用了类 {name}，但找不到该类。",
        "引用自身或用引号引用其他类时，会在笔记本的顶层查找。",
        "在单元格中（而不是函数内）定义 {name}，并先运行该单元格",
    ),
    "format-invalid": (
        "{kind} 不是有效的格式。",
        "-f 接受单词 json，或结果为类型或 dict 的表达式。",
        '-f json   ·   -f Person   ·   -f "list[Person]"',
    ),
    "schema-unsupported": (
        "服务器无法使用此 JSON Schema。",
        "{place} 处的 {said} 无法转换为语法。",
        "去掉该部分，或换一种写法；引用应形如 #/$defs/Name，且不能指向根",
    ),
    "object-cut": (
        "回答中的对象在 {most} 个 token 处被截断。",
        "在 {characters} 个字符之后，服务器给出的结束原因是 length。",
        "已有文本在 _ollama.text 中；用 --max-tokens 提高上限，或减少所要求的内容",
    ),
    "object-invalid": (
        "回答不符合所要求的格式。",
        "{reason}",
        "文本在 _ollama.text 中；请重新运行，在提示词中说明格式，或换用更大的模型",
    ),
    "pydantic-missing": (
        "{kind} 需要 pydantic，但未安装。",
        "其中含有 pydantic 或 annotated-types 的约束，只有 pydantic 能检查。",
        "%pip install pydantic",
    ),
    "pandas-missing": (
        "生成 DataFrame 需要 pandas，但尚未安装。",
        "无法导入 pandas；.value 中有相同的内容。",
        "%pip install pandas",
    ),
    "object-missing": (
        "回答中没有对象。",
        "请求时没有指定格式，或回答不完整。",
        "用 -f json 或 -f TYPE 提问；文本在 .text 中",
    ),
    # functions that the model calls
    "tool-unsupported": (
        "不能将 {function} 提供给模型。",
        "{reason}",
        'def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    return a + b',
    ),
    "tool-unconfirmed": (
        "模型请求运行 {call}，但此处无法向您确认。",
        "未运行任何函数：前端无法在该单元格中接收输入。",
        "不确认而直接运行所有调用：--yes\n在 Python 中（该函数接收调用并返回 True 或 False）：om.chat(prompt, tools=functions, confirm=function)",
    ),
    "tool-calls-too-many": (
        "模型一次请求了 {count} 个调用。",
        "每轮最多允许 {most} 个；均未运行。",
        "每次减少要求，或换用更大的模型",
    ),
    "tool-rounds-too-many": (
        "模型不停地调用函数。",
        "{most} 轮调用之后，它仍请求更多调用。",
        "这些调用在 _ollama.tool_calls 中；每次减少要求，或换用更大的模型",
    ),
    "tools-need-chat": (
        "只能在对话中调用函数。",
        "提示词会发送到 /api/generate，该接口不支持函数。",
        "去掉 --generate\n或：%ollama_config --type chat",
    ),
    # rows
    "rows-missing": (
        "没有可提问的行。",
        "{kind} 是空的。",
        "运行前先查看数据：len(data)",
    ),
    "data-not-rows": (
        "{kind} 没有可逐行提问的内容。",
        "支持 DataFrame、Series、Arrow 表、列表，以及由列组成的字典。",
        "{instead}",
    ),
    "columns-unequal": (
        "字典中各列的长度不同。",
        "{lengths}",
        "请让每一列的值与行数一样多",
    ),
    "column-twice": (
        "数据中有多列名为 {name}。",
        "提示词用到了这个名称，它必须只对应一列。",
        "frame = frame.loc[:, ~frame.columns.duplicated()]",
    ),
    "columns-missing": (
        "数据中没有可用于提示词的列。",
        "这样每一行的提问都会相同。",
        "先查看数据：len(data)、list(data)",
    ),
    "column-unknown": (
        "数据中没有列 {name}，也没有同名的变量。",
        "现有的列：{columns}。{nearest}",
        "请使用其中一个名称",
    ),
    "rows-unused": (
        "提示词没有用到数据中的任何一列。",
        "这样每一行的提问都会相同。",
        "请在提示词中写入其中之一：{columns}",
    ),
    "row-value-missing": (
        "该行的 {name} 没有值。",
        "值为 {value}；未发送任何内容。",
        '去掉这些行，或补上值：frame.dropna() · frame.fillna("")',
    ),
    "row-reply-cut": (
        "回答在 {most} 个 token 处被截断。",
        "开头是：{start}",
        "增大 --max-tokens，或要求更短的回答",
    ),
    "row-past-context": (
        "回答超出上下文，模型已丢失提示词的开头。",
        "提示词与回答共占用 {limit} 个 token 中的 {used} 个。",
        "设置更大的 --context N，或更小的 --max-tokens N",
    ),
    "row-prompt-cut": (
        "服务器截断了提示词。",
        "服务器只统计了提示词的 {used} 个 token，少于其实际长度；上下文长度为 {limit}。",
        "设置更大的 --context N，或拆分文本",
    ),
    "rows-mostly-failed": (
        "前 {first} 行中有 {failed} 行失败，其余的行没有提问。",
        "其中 {count} 行为 {same}：{reason}",
        "先用 %%ollama 对一行试用该提示词，再加上 --sample 5 运行该单元格",
    ),
    "tools-need-yes": (
        "逐行提问时，模型调用函数不会逐次询问。",
        "否则 {count} 行会询问很多次：{functions}。",
        "%%ollama --each … --yes   ·   om.map(..., confirm=lambda call: True)",
    ),
    "format-is-list": (
        "若每行返回一个列表，一行会变成多行。",
        "数据的每一行对应结果的一行；列表可以作为某个字段的值。",
        'class Answer(TypedDict): items: list[Item]   ·   -f Answer   ·   然后 out.explode("items")',
    ),
    # settings and profiles
    "setting-invalid": (
        "{value} 不是“{setting}”的有效值。",
        "{reason}",
        "{example}",
    ),
    "ability-switched-off": (
        "不能向该模型发送{what}。",
        "设置 {setting} 为 no。",
        "%ollama_config --{setting} auto",
    ),
    "secret-on-line": (
        "“{setting}”含有机密信息，请勿写在魔法命令行中。",
        "该行会保留在笔记本和 IPython 的历史记录中；其中的值未被使用。",
        "删除此单元格并更换密钥，然后：{instead}",
    ),
    "setting-unknown": (
        "没有名为 {setting} 的设置。",
        "可用的设置：{known}。",
        "%ollama_config --show",
    ),
    "variable-unknown": (
        "该行使用了 ${name}，但笔记本中没有 {name}。",
        "以 $ 开头的值表示笔记本中的变量。",
        "先定义 {name}",
    ),
    "profile-name-invalid": (
        "{profile} 不是有效的配置名称。",
        "名称最多 64 个字符，可含字母、数字、空格和 . _ + -，并以字母或数字开头。",
        "%ollama_config --save work",
    ),
    "profile-unknown": (
        "没有名为 {profile} 的配置。",
        "已保存的配置：{known}。",
        "%ollama_config --profiles",
    ),
    "profile-unreadable": (
        "无法读取配置 {path}。",
        "{reason}其中可能有禁止发送的设置，因此未发送任何内容。",
        "修正该文件后重新运行单元格\n替换它：%ollama_config --save {profile}\n不使用它：%ollama_config --forget {profile}\n使用其他配置：%ollama_config --profile NAME",
    ),
    "profile-too-new": (
        "配置 {path} 由更新版本的 ollama_magics 创建。",
        "其格式为 {version}。其中可能有禁止发送的设置，因此未发送任何内容。",
        "升级 ollama_magics\n不使用它：%ollama_config --forget {profile}\n使用其他配置：%ollama_config --profile NAME",
    ),
    "file-unusable": (
        "无法使用 {path}。",
        "{reason}",
        "如需使用其他文件夹，请在内核启动前将 OLLAMA_MAGICS_CONFIG 设为其完整路径",
    ),
    "profile-invalid": (
        "无法使用配置 {path}：{name} 无效。",
        "{reason}该行可能禁止发送，因此未发送任何内容。",
        "修正该行后重新运行单元格\n替换该文件：%ollama_config --save {profile}\n不使用它：%ollama_config --forget {profile}\n使用其他配置：%ollama_config --profile NAME",
    ),
    "environment-empty": (
        "环境变量 {name} 未设置或为空。",
        "设置中指定从该变量读取密钥或请求头。",
        "在内核启动前设置它，或：%ollama_config --api-key",
    ),
    "key-not-stored": (
        "无法保存密钥。",
        "{reason}",
        "%pip install keyring\n仅用于本笔记本：%ollama_config --key-store notebook",
    ),
    "key-not-removed": (
        "无法删除已保存的 {origin} 密钥。",
        "{reason}",
        "在系统钥匙串中删除条目 ollama_magics",
    ),
    "local-only": (
        "内容将被发送到 {what}，离开本机。",
        "已启用“仅限本机”，因此未发送任何内容。",
        "使用本地模型，或允许发送：%ollama_config --local-only no",
    ),
    "key-not-asked": (
        "此处无法输入密钥。",
        "{reason}",
        "从环境变量读取：%ollama_config --api-key-env NAME",
    ),
    # recordings
    "recording-missing": (
        "没有录制文件 {path}。",
        "查找位置：{folder}。",
        "请先录制：在有服务器且未设置 OLLAMA_MAGICS_REPLAY 时运行所有单元格\n如果文件在其他文件夹，请在该文件夹中运行笔记本：papermill --cwd FOLDER …",
    ),
    "recording-no-match": (
        "{path} 中没有该请求的录制：{method} {route}。",
        "{reason}",
        "如需重新录制，请在有服务器且未设置 OLLAMA_MAGICS_REPLAY 时运行所有单元格\n如需在此笔记本中访问服务器：%ollama_config --record off",
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
    # event loops
    "call-cancelled": (
        "调用在完成之前已被取消。",
        "等待它的任务被取消，或会话已结束。",
        "请重新调用：reply = await om.achat(prompt)",
    ),
    "event-loop-unsupported": (
        "om.achat、om.aembed 和 om.amap 需要 asyncio，而这段代码由 {library} 运行。",
        "该线程中没有正在运行的 asyncio 事件循环。",
        '使用 anyio 时，请在 asyncio 上运行您的函数：anyio.run(main, backend="asyncio")\n在 trio 下，请在线程中等待同步调用：reply = await trio.to_thread.run_sync(lambda: om.chat(prompt))',
    ),
    # interrupts
    "interrupted-batches-kept": ("已中断；已完成的批次已保存。重新运行该单元格即可嵌入其余部分。", "", ""),
    "interrupted-no-batch": ("已中断；还没有完成任何一批。", "", ""),
    "interrupted-nothing-kept": ("已中断；未保存任何内容。", "", ""),
    "interrupted-some-kept": ("已中断；向量存储出错，部分已完成的批次未保存。", "", ""),
    "interrupted-rows-kept": ("已中断；已完成的行已保存。重新运行该单元格即可继续其余的行。", "", ""),
    "interrupted-rows-not-kept": ("已中断；已完成的行未保存。", "", ""),
    "interrupted-pull": ("已中断；已下载的部分会保留。重新运行该单元格可继续下载。", "", ""),
    "interrupted-delete": ("已中断；未删除任何内容。", "", ""),
    "interrupted-import": ("已中断；未导入任何设置。", "", ""),
    "interrupted-check": ("已中断；检查未完成。", "", ""),
    "interrupted-call": ("已中断；调用已停止。", "", ""),
    "interrupted-key": ("已中断；密钥未更改。", "", ""),
    "interrupted-before-answer": ("已中断；回答尚未开始。", "", ""),
    "interrupted-answer-kept": ("已中断；已有文本在 _ollama 中。", "", ""),
}
