/** A file in a message: what it is, how far its upload is, and a click that saves it. */

import { Loader, Progress, Text, UnstyledButton } from "@mantine/core";
import { IconDownload, IconFile, IconFileText, IconFileTypePdf, IconMusic } from "@tabler/icons-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useAction } from "../../hooks/useAction";
import { useChatStore } from "../../hooks/useChat";
import type { AttachmentView } from "../../service/chat/model";
import classes from "./Attachment.module.css";
import { saveAs } from "./files";
import { byteSize } from "./format";

export function FileAttachment({ file }: { readonly file: AttachmentView }) {
  const { t, i18n } = useTranslation("chat");
  const store = useChatStore();
  const run = useAction();
  const [loading, setLoading] = useState(false);

  const download = async (): Promise<void> => {
    setLoading(true);
    await run(async () => {
      saveAs(await store.attachmentUrl(file.id), file.name);
      store.release(file.id);
    });
    setLoading(false);
  };

  const Icon = iconOf(file.contentType);
  return (
    <UnstyledButton
      className={classes.file}
      onClick={() => void download()}
      disabled={loading}
      aria-label={t("download", { name: file.name })}
    >
      <span className={classes.fileIcon}>{loading ? <Loader size="xs" /> : <Icon size={22} aria-hidden />}</span>
      <span className={classes.fileText}>
        <Text component="span" size="sm" fw={550} truncate="end" title={file.name}>
          {file.name}
        </Text>
        <Text component="span" size="xs" c="inherit" opacity={0.85}>
          {byteSize(file.size, i18n.language)}
        </Text>
      </span>
      <IconDownload size={18} aria-hidden />
    </UnstyledButton>
  );
}

/** Below any attachment that is still on its way. */
export function UploadProgress({ name, share }: { readonly name: string; readonly share: number }) {
  const { t } = useTranslation("chat");
  const percent = Math.round(share * 100);
  return <Progress value={percent} size="sm" mt={6} aria-label={t("uploading", { name, percent })} />;
}

function iconOf(contentType: string): typeof IconFile {
  if (contentType === "application/pdf") {
    return IconFileTypePdf;
  }
  return contentType.startsWith("audio/") ? IconMusic : contentType.startsWith("text/") ? IconFileText : IconFile;
}
