# What stands on a lock screen. Names of people and conversations, and the messages themselves, are put in as they are.

message-title = { $sender }
message-title-in-conversation = { $sender } · { $conversation }
nobody = New message
system = System message

image = 🖼 Image
file = 📎 { $name }
file-without-name = 📎 File
voice = 🎤 Voice message
voice-with-length = 🎤 Voice message ({ $length })

hidden-title = New message
hidden-content = Open the app to read it.

digest-title = While you were away
digest-content =
    { $messages ->
        [one] 1 message
       *[other] { $messages } messages
    }{ $conversations ->
        [0] { "" }
        [one] { " " }in 1 conversation
       *[other] { " " }in { $conversations } conversations
    }
