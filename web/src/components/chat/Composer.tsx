/** Where messages are written: text, files, voice; answers and corrections of what is there. */

import { ActionIcon, Button, FileButton, Group, Text, Textarea, Tooltip } from "@mantine/core";
import {
  IconFlag3,
  IconFlag3Filled,
  IconLock,
  IconLockOpen,
  IconMicrophone,
  IconPaperclip,
  IconSend2,
} from "@tabler/icons-react";
import type { ClipboardEvent, KeyboardEvent, ReactElement, ReactNode, RefObject } from "react";
import { useTranslation } from "react-i18next";
import type { Composing } from "../../hooks/useComposer";
import { usePageFeature } from "../../hooks/usePageConnection";
import { useVoiceRecorder, type Voice } from "../../hooks/useVoiceRecorder";
import type { MessageView } from "../../service/chat/model";
import classes from "./Composer.module.css";
import { ComposerContextBar } from "./ComposerContextBar";
import { ACCEPTED } from "./files";
import { PendingFiles } from "./PendingFiles";
import { VoiceRecorderBar } from "./VoiceRecorderBar";

interface Props {
  readonly composing: Composing;
  /** Staff can write notes that customers never see. */
  readonly withNotes: boolean;
  readonly field: RefObject<HTMLTextAreaElement | null>;
  readonly lastEditable: () => MessageView | undefined;
}

export function Composer({ composing, withNotes, field, lastEditable }: Props) {
  const { t } = useTranslation("chat");
  const recorder = useVoiceRecorder();
  const { draft, change, addFiles, submit, cancel, target } = composing;
  const withFiles = usePageFeature("file_upload");
  const withVoice = usePageFeature("voice_note");
  const canSend = draft.text.trim() !== "" || draft.files.length > 0;
  const editing = target?.kind === "edit";

  const sendVoice = (voice: Voice | undefined): void => {
    if (voice !== undefined) {
      composing.sendVoice(voice);
    }
    field.current?.focus();
  };

  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    // Enter chooses among what an input method offers (Chinese, Japanese); 229 is Safari's way to say so.
    if (event.nativeEvent.isComposing || event.keyCode === 229) {
      return;
    }
    const onlyKey = !event.shiftKey && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (event.key === "Enter" && onlyKey) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && target !== undefined) {
      event.preventDefault();
      cancel();
    } else if (event.key === "ArrowUp" && onlyKey && draft.text === "" && target === undefined) {
      const message = lastEditable();
      if (message !== undefined) {
        event.preventDefault();
        composing.edit(message);
      }
    }
  };

  const onPaste = (event: ClipboardEvent): void => {
    const files = [...event.clipboardData.files];
    if (files.length > 0 && withFiles && !editing) {
      event.preventDefault();
      addFiles(files);
    }
  };

  return (
    <section className={classes.composer} data-internal={draft.internal || undefined}>
      <ComposerContextBar target={target} onCancel={cancel} />
      <PendingFiles files={draft.files} onRemove={composing.removeFile} />
      {recorder.problem && (
        <Text size="sm" c="error" role="alert">
          {t(`recorder.${recorder.problem}`)}
        </Text>
      )}
      {recorder.state === "recording" ? (
        <VoiceRecorderBar recorder={recorder} onDone={sendVoice} />
      ) : (
        <Group gap={6} align="flex-end" wrap="nowrap">
          {!editing && <Extras composing={composing} withFiles={withFiles} withNotes={withNotes} />}
          <Textarea
            ref={field}
            className={classes.field}
            classNames={{ input: classes.input ?? "" }}
            autosize
            minRows={1}
            maxRows={8}
            radius="lg"
            value={draft.text}
            placeholder={t(draft.internal ? "write_note" : "write")}
            aria-label={t(draft.internal ? "write_note" : "write")}
            onChange={(event) => change({ text: event.currentTarget.value })}
            onKeyDown={onKeyDown}
            onPaste={onPaste}
            enterKeyHint="send"
          />
          <Submit
            canSend={canSend}
            editing={editing}
            withVoice={withVoice && !draft.internal}
            asking={recorder.state === "asking"}
            onSend={submit}
            onRecord={() => void recorder.start()}
          />
        </Group>
      )}
    </section>
  );
}

interface ExtrasProps extends Pick<Props, "composing" | "withNotes"> {
  readonly withFiles: boolean;
}

function Extras({ composing, withFiles, withNotes }: ExtrasProps) {
  const { t } = useTranslation("chat");
  const { draft, change, addFiles } = composing;
  return (
    <Group gap={2} wrap="nowrap" className={classes.extras}>
      {!draft.internal && (
        <>
          {withFiles && <Attach onChoose={addFiles} />}
          <Toggle
            label={t("mark_important")}
            on={draft.important}
            color="red"
            onChange={(important) => change({ important })}
            icon={draft.important ? <IconFlag3Filled size={19} /> : <IconFlag3 size={19} />}
          />
        </>
      )}
      {withNotes && (
        <Toggle
          label={t("write_internal")}
          on={draft.internal}
          color="yellow.9"
          onChange={(internal) => change({ internal })}
          icon={draft.internal ? <IconLock size={19} /> : <IconLockOpen size={19} />}
        />
      )}
    </Group>
  );
}

function Attach({ onChoose }: { readonly onChoose: Composing["addFiles"] }) {
  const { t } = useTranslation("chat");
  return (
    <FileButton onChange={onChoose} accept={ACCEPTED} multiple>
      {(props) => (
        <Hint label={t("attach")}>
          <ActionIcon {...props} variant="subtle" color="gray" size="lg" radius="xl" aria-label={t("attach")}>
            <IconPaperclip size={20} />
          </ActionIcon>
        </Hint>
      )}
    </FileButton>
  );
}

interface ToggleProps {
  readonly label: string;
  readonly on: boolean;
  readonly color: string;
  readonly icon: ReactNode;
  readonly onChange: (on: boolean) => void;
}

function Toggle({ label, on, color, icon, onChange }: ToggleProps) {
  return (
    <Hint label={label}>
      <ActionIcon
        variant={on ? "light" : "subtle"}
        color={on ? color : "gray"}
        size="lg"
        radius="xl"
        aria-label={label}
        aria-pressed={on}
        onClick={() => onChange(!on)}
      >
        {icon}
      </ActionIcon>
    </Hint>
  );
}

interface SubmitProps {
  readonly canSend: boolean;
  readonly editing: boolean;
  readonly withVoice: boolean;
  readonly asking: boolean;
  readonly onSend: () => void;
  readonly onRecord: () => void;
}

/** With nothing to send the same place records. */
function Submit({ canSend, editing, withVoice, asking, onSend, onRecord }: SubmitProps) {
  const { t } = useTranslation("chat");
  if (editing) {
    return (
      <Button radius="xl" disabled={!canSend} onClick={onSend}>
        {t("save")}
      </Button>
    );
  }
  return canSend || !withVoice ? (
    <ActionIcon variant="filled" size={36} radius="xl" disabled={!canSend} onClick={onSend} aria-label={t("send")}>
      <IconSend2 size={19} />
    </ActionIcon>
  ) : (
    <Hint label={t("record")}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size={36}
        radius="xl"
        loading={asking}
        onClick={onRecord}
        aria-label={t("record")}
      >
        <IconMicrophone size={20} />
      </ActionIcon>
    </Hint>
  );
}

function Hint({ label, children }: { readonly label: string; readonly children: ReactElement }) {
  return (
    <Tooltip label={label} openDelay={500}>
      {children}
    </Tooltip>
  );
}
