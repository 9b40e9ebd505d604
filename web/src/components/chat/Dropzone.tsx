/** Takes files that are dropped onto a conversation. */

import { IconFileUpload } from "@tabler/icons-react";
import { type DragEvent, type ReactNode, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import classes from "./Chat.module.css";

interface Props {
  readonly className: string;
  readonly disabled: boolean;
  readonly onDrop: (files: readonly File[]) => void;
  readonly children: ReactNode;
}

export function Dropzone({ className, disabled, onDrop, children }: Props) {
  const { t } = useTranslation("chat");
  const [over, setOver] = useState(false);
  /** Entering a child says "leave" of the parent: who counts knows when the pointer has really left. */
  const depth = useRef(0);
  const takes = (event: DragEvent): boolean => !disabled && event.dataTransfer.types.includes("Files");

  const move = (event: DragEvent, step: number): void => {
    if (takes(event)) {
      event.preventDefault();
      depth.current = Math.max(0, depth.current + step);
      setOver(depth.current > 0);
    }
  };

  const drop = (event: DragEvent): void => {
    if (takes(event)) {
      event.preventDefault();
      depth.current = 0;
      setOver(false);
      onDrop([...event.dataTransfer.files]);
    }
  };

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the button that attaches files is there for the keyboard
    <div
      className={className}
      onDragEnter={(event) => move(event, 1)}
      onDragOver={(event) => takes(event) && event.preventDefault()}
      onDragLeave={(event) => move(event, -1)}
      onDrop={drop}
    >
      {children}
      {over && (
        <div className={classes.drop}>
          <IconFileUpload size={40} stroke={1.5} aria-hidden />
          {t("drop_here")}
        </div>
      )}
    </div>
  );
}
