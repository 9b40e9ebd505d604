/** In place of the field while a voice note is recorded. */

import { ActionIcon, Text } from "@mantine/core";
import { IconSend2, IconTrash } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import type { Voice, VoiceRecorder } from "../../hooks/useVoiceRecorder";
import classes from "./Composer.module.css";
import { duration } from "./format";

interface Props {
  readonly recorder: VoiceRecorder;
  readonly onDone: (voice: Voice | undefined) => void;
}

export function VoiceRecorderBar({ recorder, onDone }: Props) {
  const { t } = useTranslation("chat");
  const discard = (): void => {
    recorder.cancel();
    onDone(undefined);
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape, pressed in the buttons within
    <div className={classes.recording} onKeyDown={(event) => event.key === "Escape" && discard()}>
      <ActionIcon
        variant="subtle"
        color="gray"
        size="lg"
        radius="xl"
        onClick={discard}
        aria-label={t("recording_cancel")}
      >
        <IconTrash size={20} />
      </ActionIcon>
      <span className={classes.dot} aria-hidden />
      <Text role="timer" className={classes.timer}>
        {t("recording", { time: duration(recorder.elapsedMs) })}
      </Text>
      <ActionIcon
        variant="filled"
        size={36}
        radius="xl"
        autoFocus
        onClick={() => void recorder.stop().then(onDone)}
        aria-label={t("recording_send")}
      >
        <IconSend2 size={19} />
      </ActionIcon>
    </div>
  );
}
