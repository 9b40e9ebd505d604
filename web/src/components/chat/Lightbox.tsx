/** A picture as large as the screen allows. */

import { Button, Loader, Modal, Text } from "@mantine/core";
import { IconDownload } from "@tabler/icons-react";
import { useTranslation } from "react-i18next";
import { useAttachment } from "../../hooks/useAttachment";
import type { AttachmentView } from "../../service/chat/model";
import classes from "./Chat.module.css";
import { saveAs } from "./files";

interface Props {
  readonly image: AttachmentView | undefined;
  readonly onClose: () => void;
}

export function Lightbox({ image, onClose }: Props) {
  const { t } = useTranslation("chat");
  return (
    <Modal
      opened={image !== undefined}
      onClose={onClose}
      fullScreen
      title={image?.name}
      closeButtonProps={{ "aria-label": t("close", { ns: "common" }) }}
      classNames={{ body: classes.lightbox ?? "" }}
    >
      {image && <Large key={image.id} image={image} />}
    </Modal>
  );
}

function Large({ image }: { readonly image: AttachmentView }) {
  const { t } = useTranslation("chat");
  const { url, failed } = useAttachment(image.id);
  const { name } = image;
  if (failed) {
    return <Text>{t("file_failed", { name })}</Text>;
  }
  if (url === undefined) {
    return <Loader aria-label={t("loading")} />;
  }
  return (
    <>
      <img className={classes.large} src={url} alt={t("image_from", { name })} />
      <Button variant="default" leftSection={<IconDownload size={18} aria-hidden />} onClick={() => saveAs(url, name)}>
        {t("download", { name })}
      </Button>
    </>
  );
}
