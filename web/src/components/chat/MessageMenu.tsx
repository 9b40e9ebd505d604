/** The menu of one message: only what can be done with it, each with the key that does the same. */

import { ActionIcon, Kbd, Menu } from "@mantine/core";
import { IconArrowBackUp, IconCopy, IconDotsVertical, IconPencil, IconTrash } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { MessageView } from "../../service/chat/model";
import { type MessageActions, useMessageActions } from "./actions";
import { answerable, deletable, editable } from "./rows";

export type Command = "reply" | "edit" | "copy" | "remove";

interface Choice {
  readonly command: Command;
  readonly text: "reply" | "edit" | "copy" | "delete";
  readonly keyName: string;
  readonly Icon: typeof IconCopy;
  readonly can: (message: MessageView) => boolean;
}

const CHOICES: readonly Choice[] = [
  { command: "reply", text: "reply", keyName: "R", Icon: IconArrowBackUp, can: answerable },
  { command: "copy", text: "copy", keyName: "C", Icon: IconCopy, can: copyable },
  { command: "edit", text: "edit", keyName: "E", Icon: IconPencil, can: editable },
  { command: "remove", text: "delete", keyName: "Del", Icon: IconTrash, can: deletable },
];

const KEYS: Readonly<Record<string, Command>> = {
  r: "reply",
  c: "copy",
  e: "edit",
  delete: "remove",
  backspace: "remove",
};

/** Does what this key means for this message; says whether it means anything. */
export function byKey(key: string, message: MessageView, actions: MessageActions): boolean {
  const command = KEYS[key.toLowerCase()];
  const choice = CHOICES.find((one) => one.command === command);
  if (command === undefined || !choice?.can(message)) {
    return false;
  }
  actions[command](message);
  return true;
}

export function hasMenu(message: MessageView): boolean {
  return CHOICES.some((choice) => choice.can(message));
}

interface Props {
  readonly message: MessageView;
  readonly opened: boolean;
  readonly onChange: (opened: boolean) => void;
}

export function MessageMenu({ message, opened, onChange }: Props) {
  const { t } = useTranslation("chat");
  const actions = useMessageActions();
  return (
    <Menu opened={opened} onChange={onChange} position="bottom-end" shadow="md" width={190} returnFocus>
      <Menu.Target>
        {/* Not a stop of the Tab key: Enter on the message opens the same menu. */}
        <ActionIcon variant="default" size="sm" radius="xl" tabIndex={-1} aria-label={t("actions")}>
          <IconDotsVertical size={15} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {CHOICES.filter((choice) => choice.can(message)).map(({ command, text, keyName, Icon }) => (
          <Menu.Item
            key={command}
            leftSection={<Icon size={16} aria-hidden />}
            rightSection={
              <Kbd size="xs" aria-hidden>
                {keyName}
              </Kbd>
            }
            {...(command === "remove" ? { color: "red.8" } : {})}
            onClick={() => actions[command](message)}
          >
            {t(text)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function copyable(message: MessageView): boolean {
  return message.content !== "" && !message.deleted;
}
