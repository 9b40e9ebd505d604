// Made by scripts/types.mjs from what the servers publish; `npm run types` makes it anew. Not to be edited.

export interface paths {
    "/v1/auth/token": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Begin a session of a local account: a short access token, and a refresh token for the next one
         * @description Begin a session of a local account: a short access token, and a refresh token for the next one.
         */
        post: operations["sign_in_v1_auth_token_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/auth/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * The next pair of tokens
         * @description The next pair of tokens. The old refresh token is used up: come again with it, and the session ends.
         *
         *     Who lost the answer may repeat the request within a few seconds, and gets the same refresh token.
         */
        post: operations["refresh_v1_auth_refresh_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/auth/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * End the session of the token that asks, or with `all` every session of its user
         * @description End the session of the token that asks, or with `all` every session of its user.
         */
        post: operations["sign_out_v1_auth_logout_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/auth/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Another password
         * @description Another password. Every other session ends; this one gets a new pair of tokens.
         */
        put: operations["change_password_v1_auth_password_put"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The caller: as registered, or as the token says
         * @description The caller: as registered, or as the token says.
         */
        get: operations["me_v1_users_me_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Make a user known
         * @description Make a user known. The same registration again changes nothing; an existing password stays.
         */
        post: operations["register_v1_users_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The caller's conversations, newest activity first
         * @description The caller's conversations, newest activity first.
         */
        get: operations["list_mine_v1_conversations_get"];
        put?: never;
        /**
         * Open a conversation
         * @description Open a conversation. The caller owns it and takes part in it.
         */
        post: operations["create_v1_conversations_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One conversation with its participants (the first thousand)
         * @description One conversation with its participants (the first thousand).
         */
        get: operations["get_one_v1_conversations__conversation_id__get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        /**
         * Change title or metadata: the owner, or a consultant or doctor who takes part
         * @description Change title or metadata: the owner, or a consultant or doctor who takes part.
         */
        patch: operations["change_v1_conversations__conversation_id__patch"];
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/participants": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Let users in; who is in already stays as he is
         * @description Let users in; who is in already stays as he is.
         */
        post: operations["add_participants_v1_conversations__conversation_id__participants_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/participants/{user_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Take a user out, or leave
         * @description Take a user out, or leave. Who has a consult hands it over instead.
         */
        delete: operations["remove_participant_v1_conversations__conversation_id__participants__user_id__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/read": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * Move the caller's read cursor; a lower seq is ignored
         * @description Move the caller's read cursor; a lower seq is ignored. A service moves its users', also by message ids.
         */
        put: operations["mark_read_v1_conversations__conversation_id__read_put"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/messages": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A page of messages in the order of their seq
         * @description A page of messages in the order of their seq.
         */
        get: operations["history_v1_conversations__conversation_id__messages_get"];
        put?: never;
        /**
         * Send a message
         * @description Send a message. `client_msg_id` is what makes a repeat harmless, for ever; an Idempotency-Key adds nothing.
         */
        post: operations["send_v1_conversations__conversation_id__messages_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/messages/{message_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * Take back one's own message; answers the tombstone that stays
         * @description Take back one's own message; answers the tombstone that stays.
         */
        delete: operations["delete_v1_messages__message_id__delete"];
        options?: never;
        head?: never;
        /**
         * Change the text of one's own message
         * @description Change the text of one's own message.
         */
        patch: operations["edit_v1_messages__message_id__patch"];
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A page of all durable events: how a client fills a gap
         * @description A page of all durable events: how a client fills a gap. No seq is ever missing between two pages.
         */
        get: operations["events_v1_conversations__conversation_id__events_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/chat/{conversation_id}/send": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Save and broadcast in one call, as host applications did before Natter
         * @description Save and broadcast in one call, as host applications did before Natter.
         */
        post: operations["chat_send_v1_chat__conversation_id__send_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/sync": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Without a cursor a snapshot, with one what has happened since; in pages
         * @description Without a cursor a snapshot, with one what has happened since; in pages. Nothing is skipped and nothing is out of
         *     order; around the moment of a snapshot something may come twice, and is known by stream and seq.
         *
         *     Whoever comes with a cursor has had the pages before it: what they told of needs no push any more.
         */
        get: operations["catch_up_v1_sync_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{user_id}/connections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The user's sockets: which device, on which edge, since when
         * @description The user's sockets: which device, on which edge, since when. For the user, a service, an admin.
         */
        get: operations["connections_v1_users__user_id__connections_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{user_id}/presence": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Whether the user is online now, and with which devices
         * @description Whether the user is online now, and with which devices. 404 for whom the caller may not see.
         */
        get: operations["of_one_v1_users__user_id__presence_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/presence/query": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * The states of up to 200 users at once
         * @description The states of up to 200 users at once. Whom the caller may not see is left out.
         */
        post: operations["query_v1_presence_query_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/presence/online": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Everybody who is online, listed and counted
         * @description Everybody who is online, listed and counted. For a service or an admin.
         */
        get: operations["online_v1_presence_online_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/typing": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Tell the others that somebody types
         * @description Tell the others that somebody types. Nothing is stored; without renewal it ends by itself after 6 s.
         */
        post: operations["typing_v1_conversations__conversation_id__typing_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/users/{user_id}/block": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * The user may not use the service any more: every token is refused, every socket closed within a second
         * @description The user may not use the service any more: every token is refused, every socket closed within a second.
         */
        post: operations["block_v1_admin_users__user_id__block_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/users/{user_id}/unblock": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * The user may sign in again; what was issued before stays refused
         * @description The user may sign in again; what was issued before stays refused.
         */
        post: operations["unblock_v1_admin_users__user_id__unblock_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/users/{user_id}/revoke-sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Every token of the user that was issued so far is refused, also a host application's; who signs in anew is in
         * @description Every token of the user that was issued so far is refused, also a host application's; who signs in anew is in.
         */
        post: operations["revoke_sessions_v1_admin_users__user_id__revoke_sessions_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/devices": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The caller's devices, without their tokens
         * @description The caller's devices, without their tokens.
         */
        get: operations["list_mine_v1_devices_get"];
        put?: never;
        /**
         * Register a device for pushes, again whenever its token or language changes
         * @description Register a device for pushes, again whenever its token or language changes. A token that belonged to somebody
         *     else's registration is taken from it. The device goes with the session in which it was registered.
         */
        post: operations["register_v1_devices_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{user_id}/devices": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A user's devices, for a service or an admin who wants to know why nothing rang
         * @description A user's devices, for a service or an admin who wants to know why nothing rang.
         */
        get: operations["list_of_user_v1_users__user_id__devices_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/devices/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        /**
         * No push to this device any more
         * @description No push to this device any more.
         */
        delete: operations["remove_v1_devices__id__delete"];
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/devices/{id}/unregister": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * The same without signing in, with the key that came with the registration
         * @description The same without signing in, with the key that came with the registration. A wrong key and a device that is gone
         *     get the same answer.
         */
        post: operations["unregister_v1_devices__id__unregister_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/notification-settings": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What the caller wants to be told
         * @description What the caller wants to be told.
         */
        get: operations["settings_v1_notification_settings_get"];
        /**
         * What the caller wants from now on, as a whole
         * @description What the caller wants from now on, as a whole. The user's other devices learn of it by sync.
         */
        put: operations["change_settings_v1_notification_settings_put"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/mute": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        /**
         * No pushes from this conversation, for ever or until a moment; or all of them again
         * @description No pushes from this conversation, for ever or until a moment; or all of them again.
         */
        put: operations["mute_v1_conversations__conversation_id__mute_put"];
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/pushes/{push_id}/ack": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * The app has shown this push (`push_id` in its data)
         * @description The app has shown this push (`push_id` in its data). Again: nothing changes.
         */
        post: operations["acknowledge_v1_pushes__push_id__ack_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/pushes/dead": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Deliveries that were due and that no provider took: they wait for somebody to replay or drop them
         * @description Deliveries that were due and that no provider took: they wait for somebody to replay or drop them.
         */
        get: operations["list_dead_v1_admin_pushes_dead_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/pushes/dead/replay": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Make dead letters due again, as if nothing had been tried
         * @description Make dead letters due again, as if nothing had been tried.
         */
        post: operations["replay_v1_admin_pushes_dead_replay_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/pushes/dead/drop": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Give dead letters up for good
         * @description Give dead letters up for good.
         */
        post: operations["drop_v1_admin_pushes_dead_drop_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/consults": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The queue, for consultants and doctors, and the consults that they have; a service or an admin sees all
         * @description The queue, for consultants and doctors, and the consults that they have; a service or an admin sees all.
         */
        get: operations["queue_v1_consults_get"];
        put?: never;
        /**
         * Ask for a consultant without naming one
         * @description Ask for a consultant without naming one. The conversation waits in the queue until somebody takes it.
         */
        post: operations["open_one_v1_consults_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/consult": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * One consult: for those who take part, and while it waits for every consultant and doctor
         * @description One consult: for those who take part, and while it waits for every consultant and doctor.
         */
        get: operations["get_one_v1_conversations__conversation_id__consult_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/consult/take": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Take a waiting consult for oneself
         * @description Take a waiting consult for oneself. Of two who do it at once one gets it, the other 409 `conflict`.
         */
        post: operations["take_v1_conversations__conversation_id__consult_take_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/consult/assign": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Give a waiting consult to a consultant or doctor; who is offline gets none: 409 `assignee_offline`
         * @description Give a waiting consult to a consultant or doctor; who is offline gets none: 409 `assignee_offline`.
         */
        post: operations["assign_v1_conversations__conversation_id__consult_assign_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/consult/hand-over": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Pass one's consult to somebody who is online, or back into the queue; one leaves conversation and notes
         * @description Pass one's consult to somebody who is online, or back into the queue; one leaves conversation and notes.
         */
        post: operations["hand_over_v1_conversations__conversation_id__consult_hand_over_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/consult/close": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * End a consult: its customer, or who has it
         * @description End a consult: its customer, or who has it. Conversation and history stay.
         */
        post: operations["close_v1_conversations__conversation_id__consult_close_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/consult/reopen": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Put a closed consult into the queue again; who had it leaves
         * @description Put a closed consult into the queue again; who had it leaves.
         */
        post: operations["reopen_v1_conversations__conversation_id__consult_reopen_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/notes": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A page of the notes in the order of their seq, which is that of the notes' own conversation
         * @description A page of the notes in the order of their seq, which is that of the notes' own conversation.
         */
        get: operations["history_v1_conversations__conversation_id__notes_get"];
        put?: never;
        /**
         * Tell the other staff of this consult something that the customer never sees
         * @description Tell the other staff of this consult something that the customer never sees.
         */
        post: operations["write_v1_conversations__conversation_id__notes_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/system-notifications": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Say something to everybody in a conversation
         * @description Say something to everybody in a conversation: a message of the system, in history like every other, and a push
         *     for who is away. For a service or an admin, who need not take part.
         */
        post: operations["notify_conversation_v1_conversations__conversation_id__system_notifications_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/users/{user_id}/notifications": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Say something to one user, on every device or on those of some types; a push if none of them has it
         * @description Say something to one user, on every device or on those of some types; a push if none of them has it.
         */
        post: operations["notify_user_v1_users__user_id__notifications_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/notifications": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What was said to the caller, newest first
         * @description What was said to the caller, newest first.
         */
        get: operations["mine_v1_notifications_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/stats": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Live figures of all processes, at most a second old
         * @description Live figures of all processes, at most a second old.
         */
        get: operations["stats_v1_admin_stats_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/connections": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Every open socket that all the given filters let through
         * @description Every open socket that all the given filters let through.
         */
        get: operations["connections_v1_admin_connections_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/users/{user_id}/disconnect": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Close a user's sockets, on whichever edge they are
         * @description Close a user's sockets, on whichever edge they are. The user may come back: to keep somebody out, block them.
         */
        post: operations["disconnect_v1_admin_users__user_id__disconnect_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/broadcasts": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * Broadcasts, newest first
         * @description Broadcasts, newest first. For a service or an admin.
         */
        get: operations["list_broadcasts_v1_admin_broadcasts_get"];
        put?: never;
        /**
         * Say something to all who are registered now, or to those with some roles
         * @description Say something to all who are registered now, or to those with some roles. Accepted at once, told one by one:
         *     each gets a notification of his own. For a service or an admin.
         */
        post: operations["broadcast_v1_admin_broadcasts_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/admin/broadcasts/{broadcast_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * A broadcast, and how far it is
         * @description A broadcast, and how far it is. For a service or an admin.
         */
        get: operations["one_broadcast_v1_admin_broadcasts__broadcast_id__get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/messages/{message_id}/delivery": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * What became of a message: who has it on which device, who has read it, who got a push
         * @description What became of a message: who has it on which device, who has read it, who got a push.
         *
         *     For its sender, a service, an admin.
         */
        get: operations["story_v1_messages__message_id__delivery_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/conversations/{conversation_id}/cursors": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * How far everybody has read and been reached: what a client that was away has missed of `read` and `delivered`
         * @description How far everybody has read and been reached: what a client that was away has missed of `read` and `delivered`.
         */
        get: operations["cursors_v1_conversations__conversation_id__cursors_get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/attachments": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        /**
         * Store a file; a message carries it by `attachment_id`
         * @description Store a file; a message carries it by `attachment_id`. Its type is what its bytes say, whatever it is called.
         *
         *     A file that no message carries within a day is deleted.
         */
        post: operations["upload_v1_attachments_post"];
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/v1/attachments/{attachment_id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        /**
         * The file, for its owner and for those who take part in the conversation that it was sent to
         * @description The file, for its owner and for those who take part in the conversation that it was sent to.
         */
        get: operations["download_v1_attachments__attachment_id__get"];
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        /**
         * The headers that GET would answer with, and no bytes
         * @description The headers that GET would answer with, and no bytes.
         */
        head: operations["describe_v1_attachments__attachment_id__head"];
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        /**
         * AdminConnection
         * @description One entry of `GET /v1/admin/connections`.
         */
        AdminConnection: {
            /** Connection Id */
            connection_id: string;
            device_type: components["schemas"]["DeviceType"];
            /** Device Id */
            device_id?: string | null;
            /** @default chat */
            connection_type?: components["schemas"]["ConnectionType"];
            /** Connected At */
            connected_at: string;
            /**
             * Roles
             * @default []
             */
            roles?: string[];
            /**
             * Idle
             * @default false
             */
            idle?: boolean;
            /** Edge Id */
            edge_id: string;
            /** User Id */
            user_id: string;
        };
        /**
         * AdminStats
         * @description Answer of `GET /v1/admin/stats`, and data of a `stats` frame. Rates are per second over the last 10 s or so.
         */
        AdminStats: {
            /** At */
            at: string;
            /** Connections */
            connections: number;
            /** Users Online */
            users_online: number;
            /** By Edge */
            by_edge: {
                [key: string]: number;
            };
            /** By Device */
            by_device: {
                [key: string]: number;
            };
            /** By Role */
            by_role: {
                [key: string]: number;
            };
            /** Messages Per S */
            messages_per_s: number;
            /** Deliveries Per S */
            deliveries_per_s: number;
            /** Pushes Per S */
            pushes_per_s: number;
            /** Push Results Per S */
            push_results_per_s?: {
                [key: string]: number;
            };
            /** Delivery P50 Ms */
            delivery_p50_ms?: number | null;
            /** Delivery P99 Ms */
            delivery_p99_ms?: number | null;
            /** Relay Lag S */
            relay_lag_s?: number | null;
            /** Fanout Lag S */
            fanout_lag_s?: number | null;
            /**
             * Slow Closes
             * @default 0
             */
            slow_closes?: number;
            /**
             * Nats Interruptions
             * @default 0
             */
            nats_interruptions?: number;
            /**
             * Gaps Healed
             * @default 0
             */
            gaps_healed?: number;
            /**
             * Edges
             * @default []
             */
            edges?: components["schemas"]["EdgeLease"][];
        };
        /**
         * AssignBody
         * @description Who shall have the consult: a consultant or a doctor who is online.
         */
        AssignBody: {
            /** User Id */
            user_id: string;
        };
        /**
         * Attachment
         * @description One stored file. `media_type` is what its bytes were found to be, not what the uploader said.
         */
        Attachment: {
            /** Id */
            id: string;
            /** Name */
            name: string;
            /** Media Type */
            media_type: string;
            /** Size Bytes */
            size_bytes: number;
            /** Sha256 */
            sha256: string;
            /** Duration Ms */
            duration_ms?: number | null;
        };
        /**
         * BroadcastAccepted
         * @description It will be said to so many users, one by one.
         */
        BroadcastAccepted: {
            /** Broadcast Id */
            broadcast_id: string;
            /** Recipients */
            recipients: number;
        };
        /**
         * BroadcastBody
         * @description Something to say to everybody, or to everybody with one of `roles`.
         * @example {
         *       "content": "From Monday on we open at eight.",
         *       "roles": [
         *         "customer"
         *       ],
         *       "title": "New opening hours",
         *       "type": "announcement"
         *     }
         */
        BroadcastBody: {
            /** Title */
            title: string;
            /** Content */
            content: string;
            /** Type */
            type: string;
            /** Action */
            action?: string | null;
            /** Conversation Id */
            conversation_id?: string | null;
            /**
             * Is Important
             * @default false
             */
            is_important?: boolean;
            /** Data */
            data?: {
                [key: string]: unknown;
            } | null;
            /**
             * Roles
             * @description Users with at least one of these; empty: everybody.
             */
            roles?: components["schemas"]["Role"][];
        };
        /**
         * BroadcastOut
         * @description A broadcast, and how far it is; done when `done_at` is set.
         */
        BroadcastOut: {
            /** Broadcast Id */
            broadcast_id: string;
            /** Title */
            title: string;
            /** Content */
            content: string;
            /** Type */
            type: string;
            /** Is Important */
            is_important: boolean;
            /** Roles */
            roles: string[];
            /** Created By */
            created_by: string;
            /** Created At */
            created_at: string;
            /** Recipients */
            recipients: number;
            /** Sent */
            sent: number;
            /** Done At */
            done_at?: string | null;
        };
        /**
         * BroadcastPage
         * @description Broadcasts, newest first; for older ones give the last one's id as `before`.
         */
        BroadcastPage: {
            /** Broadcasts */
            broadcasts: components["schemas"]["BroadcastOut"][];
        };
        /**
         * ChatSendBody
         * @description Body of the host application's own path; without a client_msg_id the Idempotency-Key is used, or a new id.
         */
        ChatSendBody: {
            /** Content */
            content: string;
            /** Client Msg Id */
            client_msg_id?: string | null;
            /** @default text */
            message_type?: components["schemas"]["DraftType"];
            /** Reply To */
            reply_to?: string | null;
            /**
             * Is Important
             * @default false
             */
            is_important?: boolean;
            /** Extra Metadata */
            extra_metadata?: {
                [key: string]: unknown;
            } | null;
        };
        /**
         * ChatSent
         * @description Answer of the host application's own path.
         */
        ChatSent: {
            /**
             * Status
             * @default sent
             * @constant
             */
            status?: "sent";
            /** Message Id */
            message_id: string;
        };
        /**
         * ConnectionList
         * @description A user's sockets on all edges, oldest first.
         */
        ConnectionList: {
            /** Connections */
            connections: components["schemas"]["UserConnection"][];
        };
        /**
         * ConnectionPage
         * @description One page of sockets, in the order of their ids; `count` is of all that the filters let through.
         */
        ConnectionPage: {
            /** Count */
            count: number;
            /** Connections */
            connections: components["schemas"]["AdminConnection"][];
            /** Next Cursor */
            next_cursor?: string | null;
        };
        /**
         * ConnectionType
         * @description What a socket is for.
         * @enum {string}
         */
        ConnectionType: "chat" | "admin";
        /**
         * ConsultOpenedOut
         * @description The conversation that was opened, and its place in the queue.
         */
        ConsultOpenedOut: {
            conversation: components["schemas"]["ConversationOut"];
            consult: components["schemas"]["ConsultOut"];
        };
        /**
         * ConsultOut
         * @description A consult: who asks, since when, and who has it. Nothing of what was said.
         */
        ConsultOut: {
            /** Conversation Id */
            conversation_id: string;
            /** Customer Id */
            customer_id: string;
            /** Customer Name */
            customer_name?: string | null;
            /** Topic */
            topic?: string | null;
            state: components["schemas"]["State"];
            /**
             * Assignee Id
             * @description Who has it, or had it when it was closed.
             */
            assignee_id?: string | null;
            /** Assignee Name */
            assignee_name?: string | null;
            /** Opened At */
            opened_at: string;
            /** Taken At */
            taken_at?: string | null;
            /** Closed At */
            closed_at?: string | null;
            /**
             * Notes Conversation Id
             * @description Told to those who may read the notes.
             */
            notes_conversation_id?: string | null;
        };
        /**
         * ConsultPage
         * @description One page of consults; no `next_cursor` on the last one.
         */
        ConsultPage: {
            /** Consults */
            consults: components["schemas"]["ConsultOut"][];
            /** Next Cursor */
            next_cursor?: string | null;
        };
        /**
         * ConversationChange
         * @description What to change; what is left out stays.
         */
        ConversationChange: {
            /** Title */
            title?: string | null;
            /** Metadata */
            metadata?: {
                [key: string]: unknown;
            } | null;
        } | {
            title: string;
        } | {
            metadata: Record<string, never>;
        };
        /**
         * ConversationCursor
         * @description How far one participant has read, and up to which message a device of his has confirmed.
         */
        ConversationCursor: {
            /** User Id */
            user_id: string;
            /** Read Seq */
            read_seq: number;
            /** Delivered Seq */
            delivered_seq: number;
        };
        /**
         * ConversationCursors
         * @description Up to 200 participants, those who are furthest first.
         */
        ConversationCursors: {
            /** Cursors */
            cursors: components["schemas"]["ConversationCursor"][];
        };
        /**
         * ConversationOut
         * @description A conversation as the caller sees it. `read_seq` is missing if the caller takes no part in it.
         */
        ConversationOut: {
            /** Id */
            id: string;
            /** Title */
            title?: string | null;
            /** Owner Id */
            owner_id: string;
            /** Metadata */
            metadata?: {
                [key: string]: unknown;
            } | null;
            /**
             * Kind
             * @description `notes`: the staff's internal notes on a consult.
             * @default chat
             * @enum {string}
             */
            kind?: "chat" | "notes";
            /**
             * Notes Of
             * @description The conversation that the notes are about.
             */
            notes_of?: string | null;
            /** Last Seq */
            last_seq: number;
            /** Read Seq */
            read_seq?: number | null;
            /** Unread Count */
            unread_count: number;
            /**
             * Muted
             * @description Whether the caller has muted it.
             * @default false
             */
            muted?: boolean;
            /**
             * Muted Until
             * @description Missing if it is muted for ever, or not at all.
             */
            muted_until?: string | null;
            last_message?: components["schemas"]["Message"] | null;
            /** Created At */
            created_at: string;
            /** Last Activity At */
            last_activity_at: string;
            /**
             * Participants
             * @description Given for a single conversation.
             */
            participants?: components["schemas"]["ParticipantOut"][] | null;
        };
        /**
         * ConversationPage
         * @description One page of conversations, newest activity first; no `next_cursor` on the last one.
         */
        ConversationPage: {
            /** Conversations */
            conversations: components["schemas"]["ConversationOut"][];
            /** Next Cursor */
            next_cursor?: string | null;
        };
        /**
         * DeadLettersBody
         * @description Which dead letters: some by the ids that their list shows, or all of them.
         */
        DeadLettersBody: {
            /** Ids */
            ids?: number[] | null;
            /**
             * All
             * @default false
             */
            all?: boolean;
        } & ({
            ids: unknown[];
            /** @constant */
            all?: false;
        } | {
            ids?: null;
            /** @constant */
            all: true;
        });
        /**
         * DeadLettersOut
         * @description How many it were.
         */
        DeadLettersOut: {
            /** Count */
            count: number;
        };
        /**
         * DeadPage
         * @description One page of dead letters, oldest first; ask again with `after_id=next_after_id` until a page is empty.
         */
        DeadPage: {
            /** Pushes */
            pushes: components["schemas"]["PushRecord"][];
            /** Next After Id */
            next_after_id: number;
        };
        /**
         * DeliveryState
         * @description How far a message has come with one recipient.
         * @enum {string}
         */
        DeliveryState: "read" | "delivered" | "handed_over" | "waiting" | "unknown";
        /**
         * Device
         * @description A registered device, without its token: an entry of `GET /v1/devices`.
         */
        Device: {
            /** Id */
            id: string;
            /** Device Id */
            device_id: string;
            /** App Id */
            app_id: string;
            platform: components["schemas"]["Platform"];
            push_service: components["schemas"]["PushService"];
            device_type: components["schemas"]["DeviceType"];
            /** Locale */
            locale?: string | null;
            /** App Version */
            app_version?: string | null;
            /**
             * Sandbox
             * @default false
             */
            sandbox?: boolean;
            /** Registered At */
            registered_at: string;
            /** Last Seen At */
            last_seen_at: string;
        };
        /**
         * DeviceBody
         * @description A device to register. `token`: what its push service calls it; for `webpush` the subscription's endpoint.
         */
        DeviceBody: {
            /** Device Id */
            device_id: string;
            /**
             * App Id
             * @default default
             */
            app_id?: string;
            platform: components["schemas"]["Platform"];
            push_service?: components["schemas"]["PushService"] | null;
            /** Token */
            token: string;
            keys?: components["schemas"]["SubscriptionKeys"] | null;
            /** @default mobile */
            device_type?: components["schemas"]["DeviceType"];
            /** Locale */
            locale?: string | null;
            /** App Version */
            app_version?: string | null;
            /**
             * Sandbox
             * @default false
             */
            sandbox?: boolean;
        };
        /**
         * DeviceDelivery
         * @description One device that has the message.
         */
        DeviceDelivery: {
            device_type: components["schemas"]["DeviceType"];
            /** Received At */
            received_at: string;
            /** Connection Id */
            connection_id?: string | null;
            /** Edge Id */
            edge_id?: string | null;
        };
        /**
         * DeviceList
         * @description A user's devices, oldest registration first.
         */
        DeviceList: {
            /** Devices */
            devices: components["schemas"]["Device"][];
        };
        /**
         * DevicePush
         * @description The push to one device; `device` is None when the provider addresses the user.
         */
        DevicePush: {
            /** Id */
            id: string;
            /** Device */
            device?: string | null;
            device_type?: components["schemas"]["DeviceType"] | null;
            /** Provider */
            provider: string;
            state: components["schemas"]["DevicePushState"];
            skip_reason?: components["schemas"]["SkipReason"] | null;
            /**
             * Attempts
             * @default 0
             */
            attempts?: number;
            /** Provider Ref */
            provider_ref?: string | null;
            /** Last Error */
            last_error?: string | null;
            /** Attempted At */
            attempted_at?: string | null;
            /** Accepted At */
            accepted_at?: string | null;
            /** Acknowledged At */
            acknowledged_at?: string | null;
            /** Retracted At */
            retracted_at?: string | null;
            /** Due At */
            due_at?: string | null;
        };
        /**
         * DevicePushState
         * @description Where the push to one device stands.
         * @enum {string}
         */
        DevicePushState: "pending" | "accepted" | "skipped" | "failed";
        /**
         * DeviceType
         * @description What kind of device a socket belongs to.
         * @enum {string}
         */
        DeviceType: "mobile" | "desktop" | "tablet";
        /**
         * DisconnectBody
         * @description Which of the user's sockets: those that match everything that is given; all, if nothing is.
         * @example {
         *       "device_type": "desktop"
         *     }
         */
        DisconnectBody: {
            /** Connection Id */
            connection_id?: string | null;
            device_type?: components["schemas"]["DeviceType"] | null;
        };
        /**
         * DisconnectOut
         * @description The edges were told. `connections` is how many matching sockets were known at that moment, None if unknown.
         */
        DisconnectOut: {
            /** User Id */
            user_id: string;
            /** Connections */
            connections?: number | null;
        };
        /**
         * DraftType
         * @description What a client may write; `system` messages are made by the service alone.
         * @enum {string}
         */
        DraftType: "text" | "image" | "file" | "voice";
        /**
         * EdgeFigures
         * @description An edge's counters since its start.
         */
        EdgeFigures: {
            /**
             * Connections
             * @default 0
             */
            connections?: number;
            /** By Device */
            by_device?: {
                [key: string]: number;
            };
            /** By Role */
            by_role?: {
                [key: string]: number;
            };
            /**
             * Users
             * @default 0
             */
            users?: number;
            /**
             * Frames In
             * @default 0
             */
            frames_in?: number;
            /**
             * Frames Out
             * @default 0
             */
            frames_out?: number;
            /**
             * Receipts
             * @default 0
             */
            receipts?: number;
            /**
             * Slow Closes
             * @default 0
             */
            slow_closes?: number;
            /**
             * Nats Interruptions
             * @default 0
             */
            nats_interruptions?: number;
        };
        /**
         * EdgeLease
         * @description An edge is alive.
         */
        EdgeLease: {
            /** Edge Id */
            edge_id: string;
            /** Instance */
            instance: string;
            /** Started At */
            started_at: string;
            /** Renewed At */
            renewed_at: string;
            /**
             * @default {
             *       "connections": 0,
             *       "by_device": {},
             *       "by_role": {},
             *       "users": 0,
             *       "frames_in": 0,
             *       "frames_out": 0,
             *       "receipts": 0,
             *       "slow_closes": 0,
             *       "nats_interruptions": 0
             *     }
             */
            figures?: components["schemas"]["EdgeFigures"];
        };
        /**
         * EditBody
         * @description The new text of a message.
         */
        EditBody: {
            /** Content */
            content: string;
        };
        /**
         * EventPage
         * @description Durable events (CloudEvents) in the order of their seq.
         */
        EventPage: {
            /** Events */
            events: {
                [key: string]: unknown;
            }[];
            /** Last Seq */
            last_seq: number;
        };
        /**
         * HandOverBody
         * @description Who shall have the consult next; null: back into the queue. Customers never see the reason: it becomes a note.
         */
        HandOverBody: {
            /** User Id */
            user_id?: string | null;
            /** Reason */
            reason?: string | null;
        };
        /**
         * HandedOver
         * @description What the notifier was given and has not taken yet.
         */
        HandedOver: {
            reason: components["schemas"]["OfflineReason"];
            /** At */
            at: string;
        };
        /**
         * LogoutBody
         * @description Which sessions end: this one, or all of the user's.
         */
        LogoutBody: {
            /**
             * All
             * @default false
             */
            all?: boolean;
        };
        /**
         * Message
         * @description A message as it is now: the same shape in HTTP answers, events and frames.
         *
         *     `seq` is its place in the conversation's gapless order. A deleted message stays as a tombstone: `deleted_at` is
         *     set and `content` is empty.
         */
        Message: {
            /** Id */
            id: string;
            /** Conversation Id */
            conversation_id: string;
            /** Seq */
            seq: number;
            /** Sender Id */
            sender_id: string;
            sender_type: components["schemas"]["SenderType"];
            /** Sender Name */
            sender_name?: string | null;
            message_type: components["schemas"]["MessageType"];
            /** Content */
            content: string;
            /** Attachment Id */
            attachment_id?: string | null;
            attachment?: components["schemas"]["Attachment"] | null;
            notice?: components["schemas"]["Notice"] | null;
            /** Reply To */
            reply_to?: string | null;
            /**
             * Is Important
             * @default false
             */
            is_important?: boolean;
            /** Mentions */
            mentions?: string[] | null;
            /** Extra Metadata */
            extra_metadata?: {
                [key: string]: unknown;
            } | null;
            /** Client Msg Id */
            client_msg_id?: string | null;
            /** Created At */
            created_at: string;
            /** Edited At */
            edited_at?: string | null;
            /** Deleted At */
            deleted_at?: string | null;
        };
        /**
         * MessageDelivery
         * @description The story of one message, for up to 200 recipients in the order of their ids.
         */
        MessageDelivery: {
            /** Message Id */
            message_id: string;
            /** Conversation Id */
            conversation_id: string;
            /** Seq */
            seq: number;
            /** Recipients */
            recipients: components["schemas"]["RecipientDelivery"][];
            /** Next After */
            next_after?: string | null;
            notifier: components["schemas"]["NotifierAnswer"];
        };
        /**
         * MessagePage
         * @description Messages in the order of their seq. `last_seq` is the conversation's, so that a client knows what is missing.
         */
        MessagePage: {
            /** Messages */
            messages: components["schemas"]["Message"][];
            /** Last Seq */
            last_seq: number;
        };
        /**
         * MessageType
         * @description What a message holds.
         * @enum {string}
         */
        MessageType: "text" | "image" | "file" | "voice" | "system";
        /**
         * Mute
         * @description Whether a user hears of a conversation by push; answer of `PUT /v1/conversations/{id}/mute`.
         */
        Mute: {
            /** Conversation Id */
            conversation_id: string;
            /** Muted */
            muted: boolean;
            /** Until */
            until?: string | null;
        };
        /**
         * MuteBody
         * @description Mute, for ever or `until`; or `muted: false`.
         */
        MuteBody: {
            /**
             * Muted
             * @default true
             */
            muted?: boolean;
            /** Until */
            until?: string | null;
        };
        /**
         * NewConsult
         * @description What a customer needs. A first message repeated with its client_msg_id opens nothing twice.
         */
        NewConsult: {
            /** Topic */
            topic?: string | null;
            /**
             * Content
             * @description The customer's first message.
             */
            content?: string | null;
            /**
             * Client Msg Id
             * @description Of the first message.
             */
            client_msg_id?: string | null;
            /** Metadata */
            metadata?: {
                [key: string]: unknown;
            } | null;
            /**
             * Customer Id
             * @description Service and admin only.
             */
            customer_id?: string | null;
        } | {
            client_msg_id?: null;
        } | {
            content: string;
        };
        /**
         * NewConversation
         * @description A conversation to open; the caller owns it, unless a service names the owner.
         */
        NewConversation: {
            /** Title */
            title?: string | null;
            /** Participant Ids */
            participant_ids?: string[];
            /** Metadata */
            metadata?: {
                [key: string]: unknown;
            } | null;
            /**
             * Owner Id
             * @description Service and admin only.
             */
            owner_id?: string | null;
        };
        /**
         * NewParticipants
         * @description Users to let in.
         */
        NewParticipants: {
            /** User Ids */
            user_ids: string[];
        };
        /**
         * NewUser
         * @description A user to register; without a password the user can only come with tokens that the host application signs.
         */
        NewUser: {
            /** User Id */
            user_id: string;
            /** Name */
            name?: string | null;
            /** Roles */
            roles?: components["schemas"]["Role"][];
            /** Password */
            password?: string | null;
        };
        /**
         * NoteBody
         * @description A note among staff.
         */
        NoteBody: {
            /** Client Msg Id */
            client_msg_id: string;
            /** Content */
            content: string;
        };
        /**
         * Notice
         * @description What makes a message of the system more than text; its text is the message's `content`.
         */
        Notice: {
            /** Title */
            title: string;
            /** Type */
            type: string;
            /** Data */
            data?: {
                [key: string]: unknown;
            } | null;
        };
        /**
         * Notification
         * @description What was said to one user: data of a `direct_message` frame, and an entry of `GET /v1/notifications`.
         */
        Notification: {
            /** Id */
            id: string;
            /** User Id */
            user_id: string;
            /** @default system */
            sender_type?: components["schemas"]["SenderType"];
            /** Title */
            title: string;
            /** Content */
            content: string;
            /** Type */
            type: string;
            /** Action */
            action?: string | null;
            /** Conversation Id */
            conversation_id?: string | null;
            /**
             * Is Important
             * @default false
             */
            is_important?: boolean;
            /** Data */
            data?: {
                [key: string]: unknown;
            } | null;
            /** Broadcast Id */
            broadcast_id?: string | null;
            /** Created At */
            created_at: string;
        };
        /**
         * NotificationBody
         * @description Something to say to one user.
         * @example {
         *       "action": "open_appointment",
         *       "content": "Tomorrow at nine.",
         *       "title": "Your appointment",
         *       "type": "appointment_reminder"
         *     }
         */
        NotificationBody: {
            /** Title */
            title: string;
            /** Content */
            content: string;
            /** Type */
            type: string;
            /** Action */
            action?: string | null;
            /** Conversation Id */
            conversation_id?: string | null;
            /**
             * Is Important
             * @default false
             */
            is_important?: boolean;
            /** Data */
            data?: {
                [key: string]: unknown;
            } | null;
            /**
             * Device Types
             * @description Only devices of these types get a frame, and only they count as having it; empty: all.
             */
            device_types?: components["schemas"]["DeviceType"][];
        };
        /**
         * NotificationPage
         * @description Notifications, newest first; for older ones give the last one's id as `before`.
         */
        NotificationPage: {
            /** Notifications */
            notifications: components["schemas"]["Notification"][];
        };
        /**
         * NotificationSettings
         * @description A user's wishes. What is None is as the deployment has it.
         */
        NotificationSettings: {
            /**
             * Pushes
             * @default true
             */
            pushes?: boolean;
            /** Locale */
            locale?: string | null;
            /**
             * Show Text
             * @default true
             */
            show_text?: boolean;
            quiet_hours?: components["schemas"]["QuietHours"] | null;
            /** Snooze Until */
            snooze_until?: string | null;
            /**
             * Important Past Quiet Hours
             * @default true
             */
            important_past_quiet_hours?: boolean;
            /**
             * Important Past Mute
             * @default true
             */
            important_past_mute?: boolean;
            /** Grace Offline S */
            grace_offline_s?: number | null;
            /** Grace Idle Desktop S */
            grace_idle_desktop_s?: number | null;
            /** Push Active Desktop */
            push_active_desktop?: boolean | null;
        };
        /**
         * NotifierAnswer
         * @description Whether the notifier's part of the story is in it.
         * @enum {string}
         */
        NotifierAnswer: "answered" | "unknown" | "not_asked";
        /**
         * OfflineReason
         * @description Why a delivery was handed to the notifier.
         * @enum {string}
         */
        OfflineReason: "no_connection" | "unacknowledged" | "important_mobile" | "idle_desktop" | "active_desktop";
        /**
         * OnlinePage
         * @description One page of those who are online, in the order of their ids; `count` is of all of them.
         */
        OnlinePage: {
            /** Count */
            count: number;
            /** Users */
            users: components["schemas"]["UserPresence"][];
            /** Next Cursor */
            next_cursor?: string | null;
        };
        /**
         * ParticipantOut
         * @description Who takes part.
         */
        ParticipantOut: {
            /** User Id */
            user_id: string;
            /** Name */
            name?: string | null;
            /** Joined At */
            joined_at: string;
            /** Read Seq */
            read_seq: number;
        };
        /**
         * PasswordBody
         * @description The password as it is, and as it shall be.
         */
        PasswordBody: {
            /**
             * Old Password
             * Format: password
             */
            old_password: string;
            /**
             * New Password
             * Format: password
             */
            new_password: string;
        };
        /**
         * Platform
         * @description What a device runs.
         * @enum {string}
         */
        Platform: "ios" | "android" | "web" | "other";
        /**
         * PresenceList
         * @description The states of those whom the caller may see, in the order in which they were asked for.
         */
        PresenceList: {
            /** Users */
            users: components["schemas"]["UserPresence"][];
        };
        /**
         * PresenceQuery
         * @description Whose presence is asked for.
         */
        PresenceQuery: {
            /** User Ids */
            user_ids: string[];
        };
        /**
         * PushDecision
         * @description What the notifier made of it.
         */
        PushDecision: {
            state: components["schemas"]["PushState"];
            /** Provider */
            provider?: string | null;
            /** Attempts */
            attempts: number;
            /** Settled At */
            settled_at?: string | null;
            skip_reason?: components["schemas"]["SkipReason"] | null;
            /** Held */
            held?: boolean | null;
            /** Due At */
            due_at?: string | null;
            /**
             * Devices
             * @default []
             */
            devices?: components["schemas"]["PushToDevice"][];
        };
        /**
         * PushRecord
         * @description One row of `GET /v1/pushes` at the notifier.
         */
        PushRecord: {
            /** Id */
            id: number;
            /** Event Id */
            event_id: string;
            /** User Id */
            user_id: string;
            reason: components["schemas"]["OfflineReason"];
            state: components["schemas"]["PushState"];
            /** Provider */
            provider?: string | null;
            skip_reason?: components["schemas"]["SkipReason"] | null;
            /**
             * Attempts
             * @default 0
             */
            attempts?: number;
            /** Last Error */
            last_error?: string | null;
            /** Received At */
            received_at: string;
            /** Due At */
            due_at?: string | null;
            /**
             * Held
             * @default false
             */
            held?: boolean;
            /** Settled At */
            settled_at?: string | null;
            /**
             * Devices
             * @default []
             */
            devices?: components["schemas"]["DevicePush"][];
        };
        /**
         * PushService
         * @description Whose push service a token belongs to.
         * @enum {string}
         */
        PushService: "fcm" | "apns" | "webpush" | "jpush" | "getui" | "umeng" | "stub";
        /**
         * PushState
         * @description Where a delivery stands: `pending` until every device of it is settled.
         * @enum {string}
         */
        PushState: "pending" | "sent" | "skipped" | "dead";
        /**
         * PushStory
         * @description The way beside the sockets.
         */
        PushStory: {
            handed_over?: components["schemas"]["HandedOver"] | null;
            decision?: components["schemas"]["PushDecision"] | null;
        };
        /**
         * PushToDevice
         * @description The push to one device; without a device type the provider found the user's devices by itself.
         */
        PushToDevice: {
            device_type?: components["schemas"]["DeviceType"] | null;
            /** Provider */
            provider: string;
            state: components["schemas"]["DevicePushState"];
            /** Attempts */
            attempts: number;
            /** Attempted At */
            attempted_at?: string | null;
            /** Accepted At */
            accepted_at?: string | null;
            /** Acknowledged At */
            acknowledged_at?: string | null;
            /** Retracted At */
            retracted_at?: string | null;
            /** Push Id */
            push_id?: string | null;
            /** Device */
            device?: string | null;
            skip_reason?: components["schemas"]["SkipReason"] | null;
            /** Provider Ref */
            provider_ref?: string | null;
            /** Last Error */
            last_error?: string | null;
        };
        /**
         * QuietHours
         * @description Every day from `start` to `end` on the wall clock of `zone`; an `end` before `start` is on the next day.
         */
        QuietHours: {
            /** Zone */
            zone: string;
            /** Start */
            start: string;
            /** End */
            end: string;
        };
        /**
         * ReadBody
         * @description Up to where the caller has read. A service may speak for a user, and may name messages instead of a seq.
         */
        ReadBody: {
            /** Seq */
            seq?: number | null;
            /**
             * User Id
             * @description Service and admin only.
             */
            user_id?: string | null;
            /**
             * Message Ids
             * @description Service and admin only; instead of `seq`. Ids, or the senders' own (`client_msg_id`) of recent messages; the latest of them counts.
             */
            message_ids?: string[] | null;
        } & ({
            seq: number;
            message_ids?: null;
        } | {
            message_ids: unknown[];
            seq?: null;
        });
        /**
         * ReadOut
         * @description Where the caller's cursor is now.
         */
        ReadOut: {
            /** Seq */
            seq: number;
        };
        /**
         * RecipientDelivery
         * @description What became of the message with one recipient.
         */
        RecipientDelivery: {
            /** User Id */
            user_id: string;
            state: components["schemas"]["DeliveryState"];
            /** Read */
            read: boolean;
            /** Delivered At */
            delivered_at?: string | null;
            /**
             * Devices
             * @default []
             */
            devices?: components["schemas"]["DeviceDelivery"][];
            /** @default {} */
            push?: components["schemas"]["PushStory"];
        };
        /**
         * RefreshBody
         * @description The refresh token of the last answer; each is good once.
         */
        RefreshBody: {
            /**
             * Refresh Token
             * Format: password
             */
            refresh_token: string;
        };
        /**
         * RegisteredDevice
         * @description Answer of `POST /v1/devices`.
         */
        RegisteredDevice: {
            /** Id */
            id: string;
            /** Device Id */
            device_id: string;
            /** App Id */
            app_id: string;
            platform: components["schemas"]["Platform"];
            push_service: components["schemas"]["PushService"];
            device_type: components["schemas"]["DeviceType"];
            /** Locale */
            locale?: string | null;
            /** App Version */
            app_version?: string | null;
            /**
             * Sandbox
             * @default false
             */
            sandbox?: boolean;
            /** Registered At */
            registered_at: string;
            /** Last Seen At */
            last_seen_at: string;
            /** Unregister Key */
            unregister_key: string;
        };
        /**
         * Role
         * @description What a principal may do. `service` is a host application that acts for its users.
         * @enum {string}
         */
        Role: "customer" | "consultant" | "doctor" | "admin" | "service";
        /**
         * SendBody
         * @description A message to send. What it has beyond a client's is for a service, which speaks for its users, and for admins.
         */
        SendBody: {
            /** Client Msg Id */
            client_msg_id: string;
            /** @default text */
            message_type?: components["schemas"]["DraftType"];
            /** Content */
            content: string;
            /** Attachment Id */
            attachment_id?: string | null;
            /** Reply To */
            reply_to?: string | null;
            /**
             * Is Important
             * @default false
             */
            is_important?: boolean;
            /** Mentions */
            mentions?: string[] | null;
            /** Extra Metadata */
            extra_metadata?: {
                [key: string]: unknown;
            } | null;
            /**
             * Sender Id
             * @description Service and admin only.
             */
            sender_id?: string | null;
            /**
             * @description `system`, for a service or an admin only: the system speaks, in the name of `sender_id` if given.
             * @default chat
             */
            sender_type?: components["schemas"]["SenderType"];
            /**
             * Sender Name
             * @description Service and admin only: shown in place of the registered name.
             */
            sender_name?: string | null;
            /**
             * Exclude User Ids
             * @description Service and admin only.
             */
            exclude_user_ids?: string[];
        };
        /**
         * SenderType
         * @description Who speaks: a person, or the system. Never a role name.
         * @enum {string}
         */
        SenderType: "chat" | "system";
        /**
         * SettingsBody
         * @description All wishes at once: what is left out is as the deployment has it.
         */
        SettingsBody: {
            /**
             * Pushes
             * @default true
             */
            pushes?: boolean;
            /** Locale */
            locale?: string | null;
            /**
             * Show Text
             * @default true
             */
            show_text?: boolean;
            quiet_hours?: components["schemas"]["QuietHours"] | null;
            /** Snooze Until */
            snooze_until?: string | null;
            /**
             * Important Past Quiet Hours
             * @default true
             */
            important_past_quiet_hours?: boolean;
            /**
             * Important Past Mute
             * @default true
             */
            important_past_mute?: boolean;
            /** Grace Offline S */
            grace_offline_s?: number | null;
            /** Grace Idle Desktop S */
            grace_idle_desktop_s?: number | null;
            /** Push Active Desktop */
            push_active_desktop?: boolean | null;
        };
        /**
         * SkipReason
         * @description Why a push was not sent; stored, shown by the API, and a label of the metrics.
         * @enum {string}
         */
        SkipReason: "not_a_message" | "own_message" | "excluded" | "unknown_version" | "deleted" | "read" | "delivered" | "left" | "blocked" | "turned_off" | "muted" | "active_desktop" | "large_room" | "no_device" | "no_provider" | "token_gone" | "digested" | "expired" | "dropped";
        /**
         * State
         * @description What the column `state` holds.
         * @enum {string}
         */
        State: "waiting" | "active" | "closed";
        /**
         * SubscriptionKeys
         * @description The keys of a browser's subscription, base64url.
         */
        SubscriptionKeys: {
            /** P256Dh */
            p256dh: string;
            /** Auth */
            auth: string;
        };
        /**
         * SyncOut
         * @description One page of a sync; ask again with `next_cursor` while `has_more`, and later for what has happened since.
         *
         *     Without a cursor, or with one that is of no use any more (`reset`), the pages are a snapshot: `conversations`, and
         *     where the user's own stream stood when its first page was made. Otherwise they are increments: `events`.
         */
        SyncOut: {
            /** Events */
            events?: {
                [key: string]: unknown;
            }[];
            /** Conversations */
            conversations?: components["schemas"]["ConversationOut"][] | null;
            /** User Seq */
            user_seq?: number | null;
            /** Next Cursor */
            next_cursor: string;
            /** Has More */
            has_more: boolean;
            /**
             * Reset
             * @default false
             */
            reset?: boolean;
        };
        /**
         * SystemNotificationBody
         * @description A notice for everybody in a conversation.
         * @example {
         *       "message": "Back at six.",
         *       "title": "Maintenance",
         *       "type": "maintenance"
         *     }
         */
        SystemNotificationBody: {
            /** Title */
            title: string;
            /** Message */
            message: string;
            /** Type */
            type: string;
            /**
             * Is Important
             * @default false
             */
            is_important?: boolean;
            /** Data */
            data?: {
                [key: string]: unknown;
            } | null;
        };
        /**
         * TokenRequest
         * @description Name and password of a local account.
         */
        TokenRequest: {
            /** User Id */
            user_id: string;
            /**
             * Password
             * Format: password
             */
            password: string;
        };
        /**
         * TokenResponse
         * @description A bearer token, the refresh token for the next one, and their lives in seconds.
         */
        TokenResponse: {
            /** Access Token */
            access_token: string;
            /**
             * Token Type
             * @default bearer
             * @constant
             */
            token_type?: "bearer";
            /** Expires In */
            expires_in: number;
            /** Refresh Token */
            refresh_token: string;
            /** Refresh Expires In */
            refresh_expires_in: number;
        };
        /**
         * TypingBody
         * @description Whether somebody types now. `user_id` is for a service, which speaks for its users.
         */
        TypingBody: {
            /** Is Typing */
            is_typing: boolean;
            /**
             * User Id
             * @description Service and admin only.
             */
            user_id?: string | null;
        };
        /**
         * UnregisterBody
         * @description The key that came with the registration.
         */
        UnregisterBody: {
            /** Unregister Key */
            unregister_key: string;
        };
        /**
         * UserConnection
         * @description One entry of `GET /v1/users/{id}/connections`.
         */
        UserConnection: {
            /** Connection Id */
            connection_id: string;
            device_type: components["schemas"]["DeviceType"];
            /** Device Id */
            device_id?: string | null;
            /** @default chat */
            connection_type?: components["schemas"]["ConnectionType"];
            /** Connected At */
            connected_at: string;
            /**
             * Roles
             * @default []
             */
            roles?: string[];
            /**
             * Idle
             * @default false
             */
            idle?: boolean;
            /** Edge Id */
            edge_id: string;
        };
        /**
         * UserOut
         * @description A user, as the user sees itself.
         */
        UserOut: {
            /** User Id */
            user_id: string;
            /** Name */
            name?: string | null;
            /** Roles */
            roles: string[];
        };
        /**
         * UserPresence
         * @description Answer of `GET /v1/users/{id}/presence`: seed row S7.
         */
        UserPresence: {
            /** User Id */
            user_id: string;
            /** Online */
            online: boolean;
            /**
             * Device Types
             * @default []
             */
            device_types?: components["schemas"]["DeviceType"][];
            /** Last Seen At */
            last_seen_at?: string | null;
        };
        /**
         * ErrorCode
         * @description Stable `code` of an error, over HTTP (RFC 9457 problem) and in `error` frames alike.
         * @enum {string}
         */
        ErrorCode: "malformed_json" | "validation_failed" | "unauthenticated" | "token_expired" | "token_revoked" | "wrong_credentials" | "user_blocked" | "forbidden" | "not_found" | "method_not_allowed" | "already_exists" | "conflict" | "assignee_offline" | "idempotency_conflict" | "payload_too_large" | "unsupported_media_type" | "range_not_satisfiable" | "limit_reached" | "seq_out_of_range" | "unknown_user" | "unknown_action" | "rate_limited" | "unavailable" | "timeout" | "internal";
        /**
         * FieldProblem
         * @description One field that was wrong.
         */
        FieldProblem: {
            /** Field */
            field: string;
            /** Message */
            message: string;
        };
        /**
         * Problem
         * @description Body of every error. `code` is what a program branches on; docs/errors.md explains each.
         */
        Problem: {
            /**
             * Type
             * @description A URN that ends in the code.
             */
            type: string;
            /** Title */
            title: string;
            /** Status */
            status: number;
            code: components["schemas"]["ErrorCode"];
            /** Detail */
            detail: string;
            /**
             * Request Id
             * @description The same as in the header X-Request-Id.
             * @default null
             */
            request_id?: string | null;
            /**
             * Errors
             * @default null
             */
            errors?: components["schemas"]["FieldProblem"][] | null;
        };
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    sign_in_v1_auth_token_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "user_id": "anna",
                 *       "password": "text"
                 *     }
                 */
                "application/json": components["schemas"]["TokenRequest"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl",
                     *       "token_type": "bearer",
                     *       "expires_in": 900,
                     *       "refresh_token": "pZ3kQ2vX8yB1nM5cR7tL0wE4uI6oA9sD",
                     *       "refresh_expires_in": 0
                     *     }
                     */
                    "application/json": components["schemas"]["TokenResponse"];
                };
            };
            /** @description Problem, code: wrong_credentials */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    refresh_v1_auth_refresh_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "refresh_token": "text"
                 *     }
                 */
                "application/json": components["schemas"]["RefreshBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl",
                     *       "token_type": "bearer",
                     *       "expires_in": 900,
                     *       "refresh_token": "pZ3kQ2vX8yB1nM5cR7tL0wE4uI6oA9sD",
                     *       "refresh_expires_in": 0
                     *     }
                     */
                    "application/json": components["schemas"]["TokenResponse"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    sign_out_v1_auth_logout_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "all": false
                 *     }
                 */
                "application/json": components["schemas"]["LogoutBody"] | null;
            };
        };
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_password_v1_auth_password_put: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "old_password": "text",
                 *       "new_password": "textxxxx"
                 *     }
                 */
                "application/json": components["schemas"]["PasswordBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "access_token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl",
                     *       "token_type": "bearer",
                     *       "expires_in": 900,
                     *       "refresh_token": "pZ3kQ2vX8yB1nM5cR7tL0wE4uI6oA9sD",
                     *       "refresh_expires_in": 0
                     *     }
                     */
                    "application/json": components["schemas"]["TokenResponse"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked, wrong_credentials */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    me_v1_users_me_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "user_id": "anna",
                     *       "name": "Anna",
                     *       "roles": [
                     *         "text"
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["UserOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    register_v1_users_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "user_id": "anna",
                 *       "name": "Anna",
                 *       "roles": [
                 *         "customer"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["NewUser"];
            };
        };
        responses: {
            /** @description This very user was registered before. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "user_id": "anna",
                     *       "name": "Anna",
                     *       "roles": [
                     *         "text"
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["UserOut"];
                };
            };
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "user_id": "anna",
                     *       "name": "Anna",
                     *       "roles": [
                     *         "text"
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["UserOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: already_exists */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_mine_v1_conversations_get: {
        parameters: {
            query?: {
                /** @description `next_cursor` of the page before. */
                cursor?: string | null;
                limit?: number;
                /** @description `notes`: those of internal notes instead. */
                kind?: "chat" | "notes";
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversations": [
                     *         {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "title": "Your appointment",
                     *           "owner_id": "anna",
                     *           "metadata": {},
                     *           "kind": "chat",
                     *           "notes_of": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "last_seq": 42,
                     *           "read_seq": 40,
                     *           "unread_count": 2,
                     *           "muted": false,
                     *           "muted_until": "text",
                     *           "last_message": {
                     *             "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *             "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *             "seq": 42,
                     *             "sender_id": "anna",
                     *             "sender_type": "chat",
                     *             "message_type": "text",
                     *             "content": "Good morning! Is Friday at ten still free?",
                     *             "created_at": "text"
                     *           },
                     *           "created_at": "text",
                     *           "last_activity_at": "text",
                     *           "participants": [
                     *             {
                     *               "user_id": "anna",
                     *               "joined_at": "text",
                     *               "read_seq": 40
                     *             }
                     *           ]
                     *         }
                     *       ],
                     *       "next_cursor": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["ConversationPage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    create_v1_conversations_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "title": "Your appointment",
                 *       "participant_ids": [
                 *         "ben"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["NewConversation"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "title": "Your appointment",
                     *       "owner_id": "anna",
                     *       "metadata": {},
                     *       "kind": "chat",
                     *       "notes_of": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "last_seq": 42,
                     *       "read_seq": 40,
                     *       "unread_count": 2,
                     *       "muted": false,
                     *       "muted_until": "text",
                     *       "last_message": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "seq": 42,
                     *         "sender_id": "anna",
                     *         "sender_type": "chat",
                     *         "sender_name": "Anna",
                     *         "message_type": "text",
                     *         "content": "Good morning! Is Friday at ten still free?",
                     *         "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "attachment": {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "name": "Anna",
                     *           "media_type": "text",
                     *           "size_bytes": 48213,
                     *           "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *           "duration_ms": 0
                     *         },
                     *         "notice": {
                     *           "title": "Your appointment",
                     *           "type": "appointment_reminder",
                     *           "data": {}
                     *         },
                     *         "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "is_important": false,
                     *         "mentions": [
                     *           "ben"
                     *         ],
                     *         "extra_metadata": {},
                     *         "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *         "created_at": "text",
                     *         "edited_at": "text",
                     *         "deleted_at": "text"
                     *       },
                     *       "created_at": "text",
                     *       "last_activity_at": "text",
                     *       "participants": [
                     *         {
                     *           "user_id": "anna",
                     *           "name": "Anna",
                     *           "joined_at": "text",
                     *           "read_seq": 40
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["ConversationOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unknown_user, limit_reached, idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    get_one_v1_conversations__conversation_id__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "title": "Your appointment",
                     *       "owner_id": "anna",
                     *       "metadata": {},
                     *       "kind": "chat",
                     *       "notes_of": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "last_seq": 42,
                     *       "read_seq": 40,
                     *       "unread_count": 2,
                     *       "muted": false,
                     *       "muted_until": "text",
                     *       "last_message": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "seq": 42,
                     *         "sender_id": "anna",
                     *         "sender_type": "chat",
                     *         "sender_name": "Anna",
                     *         "message_type": "text",
                     *         "content": "Good morning! Is Friday at ten still free?",
                     *         "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "attachment": {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "name": "Anna",
                     *           "media_type": "text",
                     *           "size_bytes": 48213,
                     *           "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *           "duration_ms": 0
                     *         },
                     *         "notice": {
                     *           "title": "Your appointment",
                     *           "type": "appointment_reminder",
                     *           "data": {}
                     *         },
                     *         "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "is_important": false,
                     *         "mentions": [
                     *           "ben"
                     *         ],
                     *         "extra_metadata": {},
                     *         "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *         "created_at": "text",
                     *         "edited_at": "text",
                     *         "deleted_at": "text"
                     *       },
                     *       "created_at": "text",
                     *       "last_activity_at": "text",
                     *       "participants": [
                     *         {
                     *           "user_id": "anna",
                     *           "name": "Anna",
                     *           "joined_at": "text",
                     *           "read_seq": 40
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["ConversationOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_v1_conversations__conversation_id__patch: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "title": "Your appointment"
                 *     }
                 */
                "application/json": components["schemas"]["ConversationChange"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "title": "Your appointment",
                     *       "owner_id": "anna",
                     *       "metadata": {},
                     *       "kind": "chat",
                     *       "notes_of": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "last_seq": 42,
                     *       "read_seq": 40,
                     *       "unread_count": 2,
                     *       "muted": false,
                     *       "muted_until": "text",
                     *       "last_message": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "seq": 42,
                     *         "sender_id": "anna",
                     *         "sender_type": "chat",
                     *         "sender_name": "Anna",
                     *         "message_type": "text",
                     *         "content": "Good morning! Is Friday at ten still free?",
                     *         "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "attachment": {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "name": "Anna",
                     *           "media_type": "text",
                     *           "size_bytes": 48213,
                     *           "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *           "duration_ms": 0
                     *         },
                     *         "notice": {
                     *           "title": "Your appointment",
                     *           "type": "appointment_reminder",
                     *           "data": {}
                     *         },
                     *         "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "is_important": false,
                     *         "mentions": [
                     *           "ben"
                     *         ],
                     *         "extra_metadata": {},
                     *         "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *         "created_at": "text",
                     *         "edited_at": "text",
                     *         "deleted_at": "text"
                     *       },
                     *       "created_at": "text",
                     *       "last_activity_at": "text",
                     *       "participants": [
                     *         {
                     *           "user_id": "anna",
                     *           "name": "Anna",
                     *           "joined_at": "text",
                     *           "read_seq": 40
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["ConversationOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    add_participants_v1_conversations__conversation_id__participants_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "user_ids": [
                 *         "carla"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["NewParticipants"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "title": "Your appointment",
                     *       "owner_id": "anna",
                     *       "metadata": {},
                     *       "kind": "chat",
                     *       "notes_of": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "last_seq": 42,
                     *       "read_seq": 40,
                     *       "unread_count": 2,
                     *       "muted": false,
                     *       "muted_until": "text",
                     *       "last_message": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "seq": 42,
                     *         "sender_id": "anna",
                     *         "sender_type": "chat",
                     *         "sender_name": "Anna",
                     *         "message_type": "text",
                     *         "content": "Good morning! Is Friday at ten still free?",
                     *         "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "attachment": {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "name": "Anna",
                     *           "media_type": "text",
                     *           "size_bytes": 48213,
                     *           "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *           "duration_ms": 0
                     *         },
                     *         "notice": {
                     *           "title": "Your appointment",
                     *           "type": "appointment_reminder",
                     *           "data": {}
                     *         },
                     *         "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "is_important": false,
                     *         "mentions": [
                     *           "ben"
                     *         ],
                     *         "extra_metadata": {},
                     *         "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *         "created_at": "text",
                     *         "edited_at": "text",
                     *         "deleted_at": "text"
                     *       },
                     *       "created_at": "text",
                     *       "last_activity_at": "text",
                     *       "participants": [
                     *         {
                     *           "user_id": "anna",
                     *           "name": "Anna",
                     *           "joined_at": "text",
                     *           "read_seq": 40
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["ConversationOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unknown_user, limit_reached, idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_participant_v1_conversations__conversation_id__participants__user_id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    mark_read_v1_conversations__conversation_id__read_put: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "seq": 42
                 *     }
                 */
                "application/json": components["schemas"]["ReadBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "seq": 42
                     *     }
                     */
                    "application/json": components["schemas"]["ReadOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: seq_out_of_range, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    history_v1_conversations__conversation_id__messages_get: {
        parameters: {
            query?: {
                after_seq?: number | null;
                before_seq?: number | null;
                around_seq?: number | null;
                limit?: number;
            };
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "messages": [
                     *         {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "seq": 42,
                     *           "sender_id": "anna",
                     *           "sender_type": "chat",
                     *           "sender_name": "Anna",
                     *           "message_type": "text",
                     *           "content": "Good morning! Is Friday at ten still free?",
                     *           "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "attachment": {
                     *             "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *             "name": "Anna",
                     *             "media_type": "text",
                     *             "size_bytes": 48213,
                     *             "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
                     *           },
                     *           "notice": {
                     *             "title": "Your appointment",
                     *             "type": "appointment_reminder"
                     *           },
                     *           "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "is_important": false,
                     *           "mentions": [
                     *             "ben"
                     *           ],
                     *           "extra_metadata": {},
                     *           "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *           "created_at": "text",
                     *           "edited_at": "text",
                     *           "deleted_at": "text"
                     *         }
                     *       ],
                     *       "last_seq": 42
                     *     }
                     */
                    "application/json": components["schemas"]["MessagePage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: seq_out_of_range, validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    send_v1_conversations__conversation_id__messages_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                 *       "message_type": "text",
                 *       "content": "Good morning! Is Friday at ten still free?"
                 *     }
                 */
                "application/json": components["schemas"]["SendBody"];
            };
        };
        responses: {
            /** @description The same (sender, client_msg_id) was sent before: the first message. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "seq": 42,
                     *       "sender_id": "anna",
                     *       "sender_type": "chat",
                     *       "sender_name": "Anna",
                     *       "message_type": "text",
                     *       "content": "Good morning! Is Friday at ten still free?",
                     *       "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "attachment": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "name": "Anna",
                     *         "media_type": "text",
                     *         "size_bytes": 48213,
                     *         "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *         "duration_ms": 0
                     *       },
                     *       "notice": {
                     *         "title": "Your appointment",
                     *         "type": "appointment_reminder",
                     *         "data": {}
                     *       },
                     *       "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "is_important": false,
                     *       "mentions": [
                     *         "ben"
                     *       ],
                     *       "extra_metadata": {},
                     *       "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *       "created_at": "text",
                     *       "edited_at": "text",
                     *       "deleted_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["Message"];
                };
            };
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "seq": 42,
                     *       "sender_id": "anna",
                     *       "sender_type": "chat",
                     *       "sender_name": "Anna",
                     *       "message_type": "text",
                     *       "content": "Good morning! Is Friday at ten still free?",
                     *       "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "attachment": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "name": "Anna",
                     *         "media_type": "text",
                     *         "size_bytes": 48213,
                     *         "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *         "duration_ms": 0
                     *       },
                     *       "notice": {
                     *         "title": "Your appointment",
                     *         "type": "appointment_reminder",
                     *         "data": {}
                     *       },
                     *       "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "is_important": false,
                     *       "mentions": [
                     *         "ben"
                     *       ],
                     *       "extra_metadata": {},
                     *       "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *       "created_at": "text",
                     *       "edited_at": "text",
                     *       "deleted_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["Message"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unknown_user, idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    delete_v1_messages__message_id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                message_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "seq": 42,
                     *       "sender_id": "anna",
                     *       "sender_type": "chat",
                     *       "sender_name": "Anna",
                     *       "message_type": "text",
                     *       "content": "Good morning! Is Friday at ten still free?",
                     *       "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "attachment": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "name": "Anna",
                     *         "media_type": "text",
                     *         "size_bytes": 48213,
                     *         "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *         "duration_ms": 0
                     *       },
                     *       "notice": {
                     *         "title": "Your appointment",
                     *         "type": "appointment_reminder",
                     *         "data": {}
                     *       },
                     *       "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "is_important": false,
                     *       "mentions": [
                     *         "ben"
                     *       ],
                     *       "extra_metadata": {},
                     *       "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *       "created_at": "text",
                     *       "edited_at": "text",
                     *       "deleted_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["Message"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    edit_v1_messages__message_id__patch: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                message_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "content": "Good morning! Is Friday at ten still free?"
                 *     }
                 */
                "application/json": components["schemas"]["EditBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "seq": 42,
                     *       "sender_id": "anna",
                     *       "sender_type": "chat",
                     *       "sender_name": "Anna",
                     *       "message_type": "text",
                     *       "content": "Good morning! Is Friday at ten still free?",
                     *       "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "attachment": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "name": "Anna",
                     *         "media_type": "text",
                     *         "size_bytes": 48213,
                     *         "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *         "duration_ms": 0
                     *       },
                     *       "notice": {
                     *         "title": "Your appointment",
                     *         "type": "appointment_reminder",
                     *         "data": {}
                     *       },
                     *       "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "is_important": false,
                     *       "mentions": [
                     *         "ben"
                     *       ],
                     *       "extra_metadata": {},
                     *       "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *       "created_at": "text",
                     *       "edited_at": "text",
                     *       "deleted_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["Message"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    events_v1_conversations__conversation_id__events_get: {
        parameters: {
            query?: {
                after_seq?: number | null;
                before_seq?: number | null;
                around_seq?: number | null;
                limit?: number;
            };
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "events": [
                     *         {}
                     *       ],
                     *       "last_seq": 42
                     *     }
                     */
                    "application/json": components["schemas"]["EventPage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: seq_out_of_range, validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    chat_send_v1_chat__conversation_id__send_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "content": "Good morning! Is Friday at ten still free?"
                 *     }
                 */
                "application/json": components["schemas"]["ChatSendBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "status": "sent",
                     *       "message_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
                     *     }
                     */
                    "application/json": components["schemas"]["ChatSent"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    catch_up_v1_sync_get: {
        parameters: {
            query?: {
                /** @description `next_cursor` of the page before, also of long ago. */
                cursor?: string | null;
                /** @description Events, or conversations (then at most 500). */
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "events": [
                     *         {}
                     *       ],
                     *       "conversations": [
                     *         {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "title": "Your appointment",
                     *           "owner_id": "anna",
                     *           "metadata": {},
                     *           "kind": "chat",
                     *           "notes_of": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "last_seq": 42,
                     *           "read_seq": 40,
                     *           "unread_count": 2,
                     *           "muted": false,
                     *           "muted_until": "text",
                     *           "last_message": {
                     *             "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *             "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *             "seq": 42,
                     *             "sender_id": "anna",
                     *             "sender_type": "chat",
                     *             "message_type": "text",
                     *             "content": "Good morning! Is Friday at ten still free?",
                     *             "created_at": "text"
                     *           },
                     *           "created_at": "text",
                     *           "last_activity_at": "text",
                     *           "participants": [
                     *             {
                     *               "user_id": "anna",
                     *               "joined_at": "text",
                     *               "read_seq": 40
                     *             }
                     *           ]
                     *         }
                     *       ],
                     *       "user_seq": 0,
                     *       "next_cursor": "text",
                     *       "has_more": false,
                     *       "reset": false
                     *     }
                     */
                    "application/json": components["schemas"]["SyncOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    connections_v1_users__user_id__connections_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "connections": [
                     *         {
                     *           "connection_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "device_type": "mobile",
                     *           "device_id": "phone-1",
                     *           "connection_type": "chat",
                     *           "connected_at": "text",
                     *           "roles": [
                     *             "text"
                     *           ],
                     *           "idle": false,
                     *           "edge_id": "edge-1"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["ConnectionList"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    of_one_v1_users__user_id__presence_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "user_id": "anna",
                     *       "online": false,
                     *       "device_types": [
                     *         "mobile"
                     *       ],
                     *       "last_seen_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["UserPresence"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    query_v1_presence_query_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "user_ids": [
                 *         "anna",
                 *         "ben"
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["PresenceQuery"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "users": [
                     *         {
                     *           "user_id": "anna",
                     *           "online": false,
                     *           "device_types": [
                     *             "mobile"
                     *           ],
                     *           "last_seen_at": "text"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["PresenceList"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    online_v1_presence_online_get: {
        parameters: {
            query?: {
                /** @description `next_cursor` of the page before. */
                cursor?: string | null;
                limit?: number;
                /** @description Only users with a socket of this role. */
                role?: components["schemas"]["Role"] | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "count": 0,
                     *       "users": [
                     *         {
                     *           "user_id": "anna",
                     *           "online": false,
                     *           "device_types": [
                     *             "mobile"
                     *           ],
                     *           "last_seen_at": "text"
                     *         }
                     *       ],
                     *       "next_cursor": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["OnlinePage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    typing_v1_conversations__conversation_id__typing_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "is_typing": false
                 *     }
                 */
                "application/json": components["schemas"]["TypingBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    block_v1_admin_users__user_id__block_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The user whom it is about. */
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    unblock_v1_admin_users__user_id__unblock_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The user whom it is about. */
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    revoke_sessions_v1_admin_users__user_id__revoke_sessions_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description The user whom it is about. */
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_mine_v1_devices_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "devices": [
                     *         {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "device_id": "phone-1",
                     *           "app_id": "com.example.clinic",
                     *           "platform": "ios",
                     *           "push_service": "fcm",
                     *           "device_type": "mobile",
                     *           "locale": "zh-CN",
                     *           "app_version": "4.2.0",
                     *           "sandbox": false,
                     *           "registered_at": "text",
                     *           "last_seen_at": "text"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["DeviceList"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    register_v1_devices_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "device_id": "phone-1",
                 *       "app_id": "com.example.clinic",
                 *       "platform": "android",
                 *       "token": "cE9vL2pLQ2t3ZHk6QVBBOTFi",
                 *       "locale": "zh-CN"
                 *     }
                 */
                "application/json": components["schemas"]["DeviceBody"];
            };
        };
        responses: {
            /** @description It was registered before, and is renewed. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "device_id": "phone-1",
                     *       "app_id": "com.example.clinic",
                     *       "platform": "ios",
                     *       "push_service": "fcm",
                     *       "device_type": "mobile",
                     *       "locale": "zh-CN",
                     *       "app_version": "4.2.0",
                     *       "sandbox": false,
                     *       "registered_at": "text",
                     *       "last_seen_at": "text",
                     *       "unregister_key": "pZ3kQ2vX8yB1nM5cR7tL0wE4uI6oA9sDfG3hJ1kL5zX"
                     *     }
                     */
                    "application/json": components["schemas"]["RegisteredDevice"];
                };
            };
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "device_id": "phone-1",
                     *       "app_id": "com.example.clinic",
                     *       "platform": "ios",
                     *       "push_service": "fcm",
                     *       "device_type": "mobile",
                     *       "locale": "zh-CN",
                     *       "app_version": "4.2.0",
                     *       "sandbox": false,
                     *       "registered_at": "text",
                     *       "last_seen_at": "text",
                     *       "unregister_key": "pZ3kQ2vX8yB1nM5cR7tL0wE4uI6oA9sDfG3hJ1kL5zX"
                     *     }
                     */
                    "application/json": components["schemas"]["RegisteredDevice"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: limit_reached, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_of_user_v1_users__user_id__devices_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "devices": [
                     *         {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "device_id": "phone-1",
                     *           "app_id": "com.example.clinic",
                     *           "platform": "ios",
                     *           "push_service": "fcm",
                     *           "device_type": "mobile",
                     *           "locale": "zh-CN",
                     *           "app_version": "4.2.0",
                     *           "sandbox": false,
                     *           "registered_at": "text",
                     *           "last_seen_at": "text"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["DeviceList"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    remove_v1_devices__id__delete: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    unregister_v1_devices__id__unregister_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "unregister_key": "pZ3kQ2vX8yB1nM5cR7tL0wE4uI6oA9sDfG3hJ1kL5zX"
                 *     }
                 */
                "application/json": components["schemas"]["UnregisterBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    settings_v1_notification_settings_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "pushes": true,
                     *       "quiet_hours": {
                     *         "zone": "Asia/Shanghai",
                     *         "start": "22:00",
                     *         "end": "07:30"
                     *       },
                     *       "important_past_quiet_hours": true
                     *     }
                     */
                    "application/json": components["schemas"]["NotificationSettings"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    change_settings_v1_notification_settings_put: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "quiet_hours": {
                 *         "zone": "Asia/Shanghai",
                 *         "start": "22:00",
                 *         "end": "07:30"
                 *       }
                 *     }
                 */
                "application/json": components["schemas"]["SettingsBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "pushes": true,
                     *       "quiet_hours": {
                     *         "zone": "Asia/Shanghai",
                     *         "start": "22:00",
                     *         "end": "07:30"
                     *       },
                     *       "important_past_quiet_hours": true
                     *     }
                     */
                    "application/json": components["schemas"]["NotificationSettings"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    mute_v1_conversations__conversation_id__mute_put: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "muted": true,
                 *       "until": "2026-01-31T08:15:00.000Z"
                 *     }
                 */
                "application/json": components["schemas"]["MuteBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "muted": false,
                     *       "until": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["Mute"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    acknowledge_v1_pushes__push_id__ack_post: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                push_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            204: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_dead_v1_admin_pushes_dead_get: {
        parameters: {
            query?: {
                after_id?: number;
                limit?: number;
                user_id?: string | null;
                provider?: string | null;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "pushes": [
                     *         {
                     *           "id": 0,
                     *           "event_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "user_id": "anna",
                     *           "reason": "no_connection",
                     *           "state": "pending",
                     *           "provider": "text",
                     *           "skip_reason": "not_a_message",
                     *           "attempts": 0,
                     *           "last_error": "text",
                     *           "received_at": "text",
                     *           "due_at": "text",
                     *           "held": false,
                     *           "settled_at": "text",
                     *           "devices": [
                     *             {
                     *               "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *               "provider": "text",
                     *               "state": "pending"
                     *             }
                     *           ]
                     *         }
                     *       ],
                     *       "next_after_id": 0
                     *     }
                     */
                    "application/json": components["schemas"]["DeadPage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    replay_v1_admin_pushes_dead_replay_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "ids": [
                 *         1207
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["DeadLettersBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "count": 0
                     *     }
                     */
                    "application/json": components["schemas"]["DeadLettersOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    drop_v1_admin_pushes_dead_drop_post: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "ids": [
                 *         1207
                 *       ]
                 *     }
                 */
                "application/json": components["schemas"]["DeadLettersBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "count": 0
                     *     }
                     */
                    "application/json": components["schemas"]["DeadLettersOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    queue_v1_consults_get: {
        parameters: {
            query?: {
                /** @description Waiting: oldest first. The others: newest first. */
                state?: components["schemas"]["State"];
                /** @description `me`, or (service and admin only) somebody else. Nobody has a waiting one. */
                assignee?: string | null;
                /** @description `next_cursor` of the page before. */
                cursor?: string | null;
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "consults": [
                     *         {
                     *           "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "customer_id": "anna",
                     *           "customer_name": "text",
                     *           "topic": "A question about my appointment",
                     *           "state": "waiting",
                     *           "assignee_id": "carla",
                     *           "assignee_name": "text",
                     *           "opened_at": "text",
                     *           "taken_at": "text",
                     *           "closed_at": "text",
                     *           "notes_conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
                     *         }
                     *       ],
                     *       "next_cursor": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["ConsultPage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    open_one_v1_consults_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "client_msg_id": null
                 *     }
                 */
                "application/json": components["schemas"]["NewConsult"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversation": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "title": "Your appointment",
                     *         "owner_id": "anna",
                     *         "metadata": {},
                     *         "kind": "chat",
                     *         "notes_of": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "last_seq": 42,
                     *         "read_seq": 40,
                     *         "unread_count": 2,
                     *         "muted": false,
                     *         "muted_until": "text",
                     *         "last_message": {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "seq": 42,
                     *           "sender_id": "anna",
                     *           "sender_type": "chat",
                     *           "sender_name": "Anna",
                     *           "message_type": "text",
                     *           "content": "Good morning! Is Friday at ten still free?",
                     *           "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "attachment": {
                     *             "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *             "name": "Anna",
                     *             "media_type": "text",
                     *             "size_bytes": 48213,
                     *             "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
                     *           },
                     *           "notice": {
                     *             "title": "Your appointment",
                     *             "type": "appointment_reminder"
                     *           },
                     *           "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "is_important": false,
                     *           "mentions": [
                     *             "ben"
                     *           ],
                     *           "extra_metadata": {},
                     *           "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *           "created_at": "text",
                     *           "edited_at": "text",
                     *           "deleted_at": "text"
                     *         },
                     *         "created_at": "text",
                     *         "last_activity_at": "text",
                     *         "participants": [
                     *           {
                     *             "user_id": "anna",
                     *             "joined_at": "text",
                     *             "read_seq": 40
                     *           }
                     *         ]
                     *       },
                     *       "consult": {
                     *         "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "customer_id": "anna",
                     *         "customer_name": "text",
                     *         "topic": "A question about my appointment",
                     *         "state": "waiting",
                     *         "assignee_id": "carla",
                     *         "assignee_name": "text",
                     *         "opened_at": "text",
                     *         "taken_at": "text",
                     *         "closed_at": "text",
                     *         "notes_conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
                     *       }
                     *     }
                     */
                    "application/json": components["schemas"]["ConsultOpenedOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unknown_user, limit_reached, idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    get_one_v1_conversations__conversation_id__consult_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "customer_id": "anna",
                     *       "customer_name": "text",
                     *       "topic": "A question about my appointment",
                     *       "state": "waiting",
                     *       "assignee_id": "carla",
                     *       "assignee_name": "text",
                     *       "opened_at": "text",
                     *       "taken_at": "text",
                     *       "closed_at": "text",
                     *       "notes_conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
                     *     }
                     */
                    "application/json": components["schemas"]["ConsultOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    take_v1_conversations__conversation_id__consult_take_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "customer_id": "anna",
                     *       "customer_name": "text",
                     *       "topic": "A question about my appointment",
                     *       "state": "waiting",
                     *       "assignee_id": "carla",
                     *       "assignee_name": "text",
                     *       "opened_at": "text",
                     *       "taken_at": "text",
                     *       "closed_at": "text",
                     *       "notes_conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
                     *     }
                     */
                    "application/json": components["schemas"]["ConsultOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unknown_user, idempotency_conflict, validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    assign_v1_conversations__conversation_id__consult_assign_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "user_id": "anna"
                 *     }
                 */
                "application/json": components["schemas"]["AssignBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "customer_id": "anna",
                     *       "customer_name": "text",
                     *       "topic": "A question about my appointment",
                     *       "state": "waiting",
                     *       "assignee_id": "carla",
                     *       "assignee_name": "text",
                     *       "opened_at": "text",
                     *       "taken_at": "text",
                     *       "closed_at": "text",
                     *       "notes_conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
                     *     }
                     */
                    "application/json": components["schemas"]["ConsultOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: conflict, assignee_offline */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unknown_user, idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    hand_over_v1_conversations__conversation_id__consult_hand_over_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "user_id": "anna",
                 *       "reason": "no_connection"
                 *     }
                 */
                "application/json": components["schemas"]["HandOverBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "customer_id": "anna",
                     *       "customer_name": "text",
                     *       "topic": "A question about my appointment",
                     *       "state": "waiting",
                     *       "assignee_id": "carla",
                     *       "assignee_name": "text",
                     *       "opened_at": "text",
                     *       "taken_at": "text",
                     *       "closed_at": "text",
                     *       "notes_conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
                     *     }
                     */
                    "application/json": components["schemas"]["ConsultOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: conflict, assignee_offline */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unknown_user, idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    close_v1_conversations__conversation_id__consult_close_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "customer_id": "anna",
                     *       "customer_name": "text",
                     *       "topic": "A question about my appointment",
                     *       "state": "waiting",
                     *       "assignee_id": "carla",
                     *       "assignee_name": "text",
                     *       "opened_at": "text",
                     *       "taken_at": "text",
                     *       "closed_at": "text",
                     *       "notes_conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
                     *     }
                     */
                    "application/json": components["schemas"]["ConsultOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unknown_user, idempotency_conflict, validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    reopen_v1_conversations__conversation_id__consult_reopen_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "customer_id": "anna",
                     *       "customer_name": "text",
                     *       "topic": "A question about my appointment",
                     *       "state": "waiting",
                     *       "assignee_id": "carla",
                     *       "assignee_name": "text",
                     *       "opened_at": "text",
                     *       "taken_at": "text",
                     *       "closed_at": "text",
                     *       "notes_conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e"
                     *     }
                     */
                    "application/json": components["schemas"]["ConsultOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unknown_user, idempotency_conflict, validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    history_v1_conversations__conversation_id__notes_get: {
        parameters: {
            query?: {
                after_seq?: number | null;
                before_seq?: number | null;
                around_seq?: number | null;
                limit?: number;
            };
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "messages": [
                     *         {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "seq": 42,
                     *           "sender_id": "anna",
                     *           "sender_type": "chat",
                     *           "sender_name": "Anna",
                     *           "message_type": "text",
                     *           "content": "Good morning! Is Friday at ten still free?",
                     *           "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "attachment": {
                     *             "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *             "name": "Anna",
                     *             "media_type": "text",
                     *             "size_bytes": 48213,
                     *             "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
                     *           },
                     *           "notice": {
                     *             "title": "Your appointment",
                     *             "type": "appointment_reminder"
                     *           },
                     *           "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "is_important": false,
                     *           "mentions": [
                     *             "ben"
                     *           ],
                     *           "extra_metadata": {},
                     *           "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *           "created_at": "text",
                     *           "edited_at": "text",
                     *           "deleted_at": "text"
                     *         }
                     *       ],
                     *       "last_seq": 42
                     *     }
                     */
                    "application/json": components["schemas"]["MessagePage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: seq_out_of_range, validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    write_v1_conversations__conversation_id__notes_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                 *       "content": "Good morning! Is Friday at ten still free?"
                 *     }
                 */
                "application/json": components["schemas"]["NoteBody"];
            };
        };
        responses: {
            /** @description The same (sender, client_msg_id) was sent before: the first note. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "seq": 42,
                     *       "sender_id": "anna",
                     *       "sender_type": "chat",
                     *       "sender_name": "Anna",
                     *       "message_type": "text",
                     *       "content": "Good morning! Is Friday at ten still free?",
                     *       "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "attachment": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "name": "Anna",
                     *         "media_type": "text",
                     *         "size_bytes": 48213,
                     *         "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *         "duration_ms": 0
                     *       },
                     *       "notice": {
                     *         "title": "Your appointment",
                     *         "type": "appointment_reminder",
                     *         "data": {}
                     *       },
                     *       "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "is_important": false,
                     *       "mentions": [
                     *         "ben"
                     *       ],
                     *       "extra_metadata": {},
                     *       "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *       "created_at": "text",
                     *       "edited_at": "text",
                     *       "deleted_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["Message"];
                };
            };
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "seq": 42,
                     *       "sender_id": "anna",
                     *       "sender_type": "chat",
                     *       "sender_name": "Anna",
                     *       "message_type": "text",
                     *       "content": "Good morning! Is Friday at ten still free?",
                     *       "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "attachment": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "name": "Anna",
                     *         "media_type": "text",
                     *         "size_bytes": 48213,
                     *         "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *         "duration_ms": 0
                     *       },
                     *       "notice": {
                     *         "title": "Your appointment",
                     *         "type": "appointment_reminder",
                     *         "data": {}
                     *       },
                     *       "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "is_important": false,
                     *       "mentions": [
                     *         "ben"
                     *       ],
                     *       "extra_metadata": {},
                     *       "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *       "created_at": "text",
                     *       "edited_at": "text",
                     *       "deleted_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["Message"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: conflict */
            409: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    notify_conversation_v1_conversations__conversation_id__system_notifications_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "message": "Back at six.",
                 *       "title": "Maintenance",
                 *       "type": "maintenance"
                 *     }
                 */
                "application/json": components["schemas"]["SystemNotificationBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "seq": 42,
                     *       "sender_id": "anna",
                     *       "sender_type": "chat",
                     *       "sender_name": "Anna",
                     *       "message_type": "text",
                     *       "content": "Good morning! Is Friday at ten still free?",
                     *       "attachment_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "attachment": {
                     *         "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *         "name": "Anna",
                     *         "media_type": "text",
                     *         "size_bytes": 48213,
                     *         "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *         "duration_ms": 0
                     *       },
                     *       "notice": {
                     *         "title": "Your appointment",
                     *         "type": "appointment_reminder",
                     *         "data": {}
                     *       },
                     *       "reply_to": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "is_important": false,
                     *       "mentions": [
                     *         "ben"
                     *       ],
                     *       "extra_metadata": {},
                     *       "client_msg_id": "01936f7e-2a00-7b11-8c22-9d33ae44bf55",
                     *       "created_at": "text",
                     *       "edited_at": "text",
                     *       "deleted_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["Message"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    notify_user_v1_users__user_id__notifications_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                user_id: string;
            };
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "action": "open_appointment",
                 *       "content": "Tomorrow at nine.",
                 *       "title": "Your appointment",
                 *       "type": "appointment_reminder"
                 *     }
                 */
                "application/json": components["schemas"]["NotificationBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "user_id": "anna",
                     *       "sender_type": "chat",
                     *       "title": "Your appointment",
                     *       "content": "Good morning! Is Friday at ten still free?",
                     *       "type": "appointment_reminder",
                     *       "action": "text",
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "is_important": false,
                     *       "data": {},
                     *       "broadcast_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "created_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["Notification"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    mine_v1_notifications_get: {
        parameters: {
            query?: {
                /** @description The id of the last one of the page before. */
                before?: string | null;
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "notifications": [
                     *         {
                     *           "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "user_id": "anna",
                     *           "sender_type": "chat",
                     *           "title": "Your appointment",
                     *           "content": "Good morning! Is Friday at ten still free?",
                     *           "type": "appointment_reminder",
                     *           "action": "text",
                     *           "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "is_important": false,
                     *           "data": {},
                     *           "broadcast_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "created_at": "text"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["NotificationPage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    stats_v1_admin_stats_get: {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "at": "text",
                     *       "connections": 0,
                     *       "users_online": 0,
                     *       "by_edge": {
                     *         "edge-1": 2,
                     *         "edge-2": 1
                     *       },
                     *       "by_device": {
                     *         "desktop": 2,
                     *         "mobile": 1
                     *       },
                     *       "by_role": {
                     *         "consultant": 1,
                     *         "customer": 2
                     *       },
                     *       "messages_per_s": 0,
                     *       "deliveries_per_s": 0,
                     *       "pushes_per_s": 0,
                     *       "push_results_per_s": {},
                     *       "delivery_p50_ms": 0,
                     *       "delivery_p99_ms": 0,
                     *       "relay_lag_s": 0,
                     *       "fanout_lag_s": 0,
                     *       "slow_closes": 0,
                     *       "nats_interruptions": 0,
                     *       "gaps_healed": 0,
                     *       "edges": [
                     *         {
                     *           "edge_id": "edge-1",
                     *           "instance": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "started_at": "text",
                     *           "renewed_at": "text",
                     *           "figures": {}
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["AdminStats"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    connections_v1_admin_connections_get: {
        parameters: {
            query?: {
                user_id?: string | null;
                edge_id?: string | null;
                device_type?: components["schemas"]["DeviceType"] | null;
                role?: components["schemas"]["Role"] | null;
                /** @description `next_cursor` of the page before. */
                cursor?: string | null;
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "count": 0,
                     *       "connections": [
                     *         {
                     *           "connection_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "device_type": "mobile",
                     *           "device_id": "phone-1",
                     *           "connection_type": "chat",
                     *           "connected_at": "text",
                     *           "roles": [
                     *             "text"
                     *           ],
                     *           "idle": false,
                     *           "edge_id": "edge-1",
                     *           "user_id": "anna"
                     *         }
                     *       ],
                     *       "next_cursor": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["ConnectionPage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    disconnect_v1_admin_users__user_id__disconnect_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path: {
                user_id: string;
            };
            cookie?: never;
        };
        requestBody?: {
            content: {
                /**
                 * @example {
                 *       "device_type": "desktop"
                 *     }
                 */
                "application/json": components["schemas"]["DisconnectBody"] | null;
            };
        };
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "user_id": "anna",
                     *       "connections": 0
                     *     }
                     */
                    "application/json": components["schemas"]["DisconnectOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    list_broadcasts_v1_admin_broadcasts_get: {
        parameters: {
            query?: {
                /** @description The id of the last one of the page before. */
                before?: string | null;
                limit?: number;
            };
            header?: never;
            path?: never;
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "broadcasts": [
                     *         {
                     *           "broadcast_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *           "title": "Your appointment",
                     *           "content": "Good morning! Is Friday at ten still free?",
                     *           "type": "appointment_reminder",
                     *           "is_important": false,
                     *           "roles": [
                     *             "text"
                     *           ],
                     *           "created_by": "text",
                     *           "created_at": "text",
                     *           "recipients": 0,
                     *           "sent": 0,
                     *           "done_at": "text"
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["BroadcastPage"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    broadcast_v1_admin_broadcasts_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                /**
                 * @example {
                 *       "content": "From Monday on we open at eight.",
                 *       "roles": [
                 *         "customer"
                 *       ],
                 *       "title": "New opening hours",
                 *       "type": "announcement"
                 *     }
                 */
                "application/json": components["schemas"]["BroadcastBody"];
            };
        };
        responses: {
            /** @description Successful Response */
            202: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "broadcast_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "recipients": 0
                     *     }
                     */
                    "application/json": components["schemas"]["BroadcastAccepted"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: idempotency_conflict, validation_failed, malformed_json */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    one_broadcast_v1_admin_broadcasts__broadcast_id__get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                broadcast_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "broadcast_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "title": "Your appointment",
                     *       "content": "Good morning! Is Friday at ten still free?",
                     *       "type": "appointment_reminder",
                     *       "is_important": false,
                     *       "roles": [
                     *         "text"
                     *       ],
                     *       "created_by": "text",
                     *       "created_at": "text",
                     *       "recipients": 0,
                     *       "sent": 0,
                     *       "done_at": "text"
                     *     }
                     */
                    "application/json": components["schemas"]["BroadcastOut"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    story_v1_messages__message_id__delivery_get: {
        parameters: {
            query?: {
                /** @description Recipients behind this user id. */
                after?: string | null;
                limit?: number;
            };
            header?: never;
            path: {
                message_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "message_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "conversation_id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "seq": 42,
                     *       "recipients": [
                     *         {
                     *           "user_id": "anna",
                     *           "state": "read",
                     *           "read": false,
                     *           "delivered_at": "text",
                     *           "devices": [
                     *             {
                     *               "device_type": "mobile",
                     *               "received_at": "text"
                     *             }
                     *           ],
                     *           "push": {}
                     *         }
                     *       ],
                     *       "next_after": "anna",
                     *       "notifier": "answered"
                     *     }
                     */
                    "application/json": components["schemas"]["MessageDelivery"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked, forbidden */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    cursors_v1_conversations__conversation_id__cursors_get: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                /** @description A conversation's id. */
                conversation_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description Successful Response */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "cursors": [
                     *         {
                     *           "user_id": "anna",
                     *           "read_seq": 40,
                     *           "delivered_seq": 0
                     *         }
                     *       ]
                     *     }
                     */
                    "application/json": components["schemas"]["ConversationCursors"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    upload_v1_attachments_post: {
        parameters: {
            query?: never;
            header?: {
                /** @description A repeat with the same key within 24 hours gets the first answer and changes nothing. */
                "Idempotency-Key"?: string | null;
            };
            path?: never;
            cookie?: never;
        };
        requestBody: {
            content: {
                "multipart/form-data": {
                    /** Format: binary */
                    file: string;
                    /** @description In place of the file's own name. */
                    name?: string;
                    /** @description Length of a voice note. */
                    duration_ms?: number;
                };
            };
        };
        responses: {
            /** @description Successful Response */
            201: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    /**
                     * @example {
                     *       "id": "01936f7e-2b1c-7c4e-9d3a-5f0b6a7c8d9e",
                     *       "name": "Anna",
                     *       "media_type": "text",
                     *       "size_bytes": 48213,
                     *       "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                     *       "duration_ms": 0
                     *     }
                     */
                    "application/json": components["schemas"]["Attachment"];
                };
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: payload_too_large */
            413: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unsupported_media_type */
            415: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed, idempotency_conflict, limit_reached */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: timeout, unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    download_v1_attachments__attachment_id__get: {
        parameters: {
            query?: never;
            header?: {
                /** @description One range of bytes. */
                Range?: string | null;
                "If-Range"?: string | null;
                "If-None-Match"?: string | null;
            };
            path: {
                attachment_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            /** @description The part that `Range` asks for. */
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            /** @description The client has it: `If-None-Match` names its `ETag`. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: range_not_satisfiable */
            416: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
    describe_v1_attachments__attachment_id__head: {
        parameters: {
            query?: never;
            header?: never;
            path: {
                attachment_id: string;
            };
            cookie?: never;
        };
        requestBody?: never;
        responses: {
            /** @description The file. */
            200: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            /** @description The part that `Range` asks for. */
            206: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "*/*": string;
                };
            };
            /** @description The client has it: `If-None-Match` names its `ETag`. */
            304: {
                headers: {
                    [name: string]: unknown;
                };
                content?: never;
            };
            /** @description Problem, code: unauthenticated, token_expired, token_revoked */
            401: {
                headers: {
                    /** @description What kind of token is wanted. */
                    "WWW-Authenticate": "Bearer";
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: user_blocked */
            403: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: not_found */
            404: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: range_not_satisfiable */
            416: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: validation_failed */
            422: {
                headers: {
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: rate_limited */
            429: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
            /** @description Problem, code: unavailable */
            503: {
                headers: {
                    /** @description Seconds after which to come again. */
                    "Retry-After": number;
                    [name: string]: unknown;
                };
                content: {
                    "application/problem+json": components["schemas"]["Problem"];
                };
            };
        };
    };
}
