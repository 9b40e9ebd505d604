# 锁屏上显示的文字。人名、会话名和消息内容原样放入。

message-title = { $sender }
message-title-in-conversation = { $sender } · { $conversation }
nobody = 新消息
system = 系统消息

image = 🖼 图片
file = 📎 { $name }
file-without-name = 📎 文件
voice = 🎤 语音消息
voice-with-length = 🎤 语音消息（{ $length }）

hidden-title = 新消息
hidden-content = 打开应用查看

digest-title = 您离开期间
digest-content =
    { $conversations ->
        [0] 有 { $messages } 条新消息
       *[other] { $conversations } 个会话中有 { $messages } 条新消息
    }
