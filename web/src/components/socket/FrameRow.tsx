/** One frame as it went over the wire: a line, and its JSON when it is opened. */

import { ActionIcon, CopyButton } from "@mantine/core";
import { IconArrowDownLeft, IconArrowUpRight, IconCheck, IconChevronRight, IconCopy } from "@tabler/icons-react";
import { memo } from "react";
import { useTranslation } from "react-i18next";
import type { RecordedFrame } from "../../service/websocket/recorder";
import { asText } from "./frameFilter";
import { JsonTree } from "./JsonTree";
import classes from "./socket.module.css";
import { preciseTime } from "./time";

interface Props {
  readonly frame: RecordedFrame;
  readonly open: boolean;
  readonly onToggle: (id: number) => void;
}

export const FrameRow = memo(function FrameRow({ frame, open, onToggle }: Props) {
  const { t, i18n } = useTranslation("socket");
  const { id, direction, action, at, text } = frame;
  const Arrow = direction === "in" ? IconArrowDownLeft : IconArrowUpRight;
  return (
    <div className={classes.row} data-direction={direction}>
      <div className={classes.line}>
        <button type="button" className={classes.toggle} aria-expanded={open} onClick={() => onToggle(id)}>
          <IconChevronRight size={14} className={classes.chevron} aria-hidden />
          <span className={classes.time}>{preciseTime(at, i18n.language)}</span>
          <Arrow size={16} className={classes.arrow} role="img" aria-label={t(`frames.${direction}`)} />
          <span className={classes.action} data-error={action === "error" || undefined}>
            {action}
          </span>
          <span className={classes.preview}>{text}</span>
        </button>
        <CopyButton value={asText([frame])}>
          {({ copied, copy }) => (
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={copied ? t("frames.copied") : t("frames.copy_one", { action })}
              onClick={copy}
            >
              {copied ? <IconCheck size={16} /> : <IconCopy size={16} />}
            </ActionIcon>
          )}
        </CopyButton>
      </div>
      {open && (
        <div className={classes.json}>
          <JsonTree value={parsed(text)} />
        </div>
      )}
    </div>
  );
});

/** What is no JSON is shown as the text that it is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
