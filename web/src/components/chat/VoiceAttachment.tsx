/** A voice note with its waveform; starting one stops the one that plays. */

import { ActionIcon, Text } from "@mantine/core";
import { IconPlayerPauseFilled, IconPlayerPlayFilled } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import type WaveSurfer from "wavesurfer.js";
import { useAttachment } from "../../hooks/useAttachment";
import type { AttachmentView } from "../../service/chat/model";
import classes from "./Attachment.module.css";
import { duration } from "./format";

const HEIGHT = 32;

let playing: WaveSurfer | undefined;

export function VoiceAttachment({ voice }: { readonly voice: AttachmentView }) {
  const { t } = useTranslation("chat");
  const { url, failed, again } = useAttachment(voice.id);
  const { box, player, isPlaying, atMs, lengthMs, broken } = useWaveform(url);
  const length = voice.durationMs ?? lengthMs;
  return (
    <div className={classes.voice}>
      <ActionIcon
        size="lg"
        radius="xl"
        variant="filled"
        loading={url === undefined && !failed}
        disabled={failed || broken}
        onClick={() => void player.current?.playPause()}
        aria-label={t(isPlaying ? "pause" : "play")}
      >
        {isPlaying ? <IconPlayerPauseFilled size={18} /> : <IconPlayerPlayFilled size={18} />}
      </ActionIcon>
      <div ref={box} className={classes.waveform} aria-hidden />
      {failed ? (
        <button type="button" className={classes.again} onClick={again}>
          {t("try_again")}
        </button>
      ) : (
        <Text size="xs" className={classes.time}>
          {broken ? t("file_failed", { name: t("kind.voice") }) : duration(atMs > 0 ? atMs : (length ?? 0))}
        </Text>
      )}
    </div>
  );
}

/** wavesurfer is loaded with the first voice note that is shown, and not before. */
function useWaveform(url: string | undefined) {
  const box = useRef<HTMLDivElement>(null);
  const player = useRef<WaveSurfer | undefined>(undefined);
  const [isPlaying, setPlaying] = useState(false);
  const [atMs, setAt] = useState(0);
  const [lengthMs, setLength] = useState<number>();
  const [broken, setBroken] = useState(false);

  useEffect(() => {
    if (url === undefined) {
      return;
    }
    let here = true;
    const load = async (): Promise<void> => {
      const { default: Player } = await import("wavesurfer.js");
      if (!here || box.current === null) {
        return;
      }
      const made = Player.create({ container: box.current, url, height: HEIGHT, ...look(box.current) });
      player.current = made;
      made.on("ready", (seconds) => setLength(seconds * 1000));
      made.on("play", () => {
        playing?.pause();
        playing = made;
        setPlaying(true);
      });
      made.on("pause", () => {
        playing = playing === made ? undefined : playing;
        setPlaying(false);
      });
      made.on("finish", () => setAt(0));
      made.on("timeupdate", (seconds) => setAt(seconds * 1000));
      made.on("error", () => setBroken(true));
    };
    load().catch(() => here && setBroken(true));
    return () => {
      here = false;
      if (playing === player.current) {
        playing = undefined;
      }
      player.current?.destroy();
      player.current = undefined;
    };
  }, [url]);

  return { box, player, isPlaying, atMs, lengthMs, broken };
}

/** A canvas knows no CSS variables: what they are at the moment in which it is drawn. */
function look(element: HTMLElement) {
  const style = getComputedStyle(element);
  return {
    waveColor: style.getPropertyValue("--wave").trim() || "#888",
    progressColor: style.getPropertyValue("--wave-played").trim() || "#000",
    cursorWidth: 0,
    barWidth: 3,
    barGap: 2,
    barRadius: 2,
    barMinHeight: 2,
    normalize: true,
    dragToSeek: true,
    hideScrollbar: true,
  };
}
