/** A picture in a message: its room is kept while it loads, a click shows it large. */

import { Button, Loader, Text, UnstyledButton } from "@mantine/core";
import { IconPhotoOff } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useAttachment } from "../../hooks/useAttachment";
import type { AttachmentView } from "../../service/chat/model";
import classes from "./Attachment.module.css";
import { useMessageActions } from "./actions";

const WIDTH_MAX = 320;
const HEIGHT_MAX = 320;
const UNKNOWN = { width: 280, height: 210 };

export function ImageAttachment({ image }: { readonly image: AttachmentView }) {
  const { t } = useTranslation("chat");
  const { show } = useMessageActions();
  const { url, failed, again } = useAttachment(image.id);
  const { name } = image;
  if (failed) {
    return (
      <div className={classes.failed} style={fitted(image)}>
        <IconPhotoOff aria-hidden />
        <Text size="sm">{t("file_failed", { name })}</Text>
        <Button size="compact-sm" variant="default" onClick={again}>
          {t("try_again")}
        </Button>
      </div>
    );
  }
  return (
    <UnstyledButton
      className={classes.image}
      style={fitted(image)}
      onClick={() => show(image)}
      disabled={url === undefined}
      aria-label={t("open_image", { name })}
    >
      {url === undefined ? (
        <Loader size="sm" color="gray" />
      ) : (
        <img src={url} alt={t("image_from", { name })} draggable={false} />
      )}
    </UnstyledButton>
  );
}

/** The room that the picture will take, so that nothing moves when it comes. */
function fitted({ width, height }: AttachmentView): { width: number; aspectRatio: string } {
  const size = width && height ? { width, height } : UNKNOWN;
  const scale = Math.min(1, WIDTH_MAX / size.width, HEIGHT_MAX / size.height);
  return { width: Math.max(96, Math.round(size.width * scale)), aspectRatio: `${size.width} / ${size.height}` };
}
