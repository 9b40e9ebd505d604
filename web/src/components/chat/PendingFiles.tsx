/** Files that were chosen and not yet sent, with a look at pictures. */

import { CloseButton, Text } from "@mantine/core";
import { IconFile } from "@tabler/icons-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import classes from "./Composer.module.css";
import { byteSize } from "./format";

interface Props {
  readonly files: readonly File[];
  readonly onRemove: (file: File) => void;
}

export function PendingFiles({ files, onRemove }: Props) {
  const { t, i18n } = useTranslation("chat");
  if (files.length === 0) {
    return null;
  }
  return (
    <ul className={classes.files} aria-label={t("attached")}>
      {files.map((file, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: two files may have the same name, size and time
        <li key={`${file.name}-${index}`} className={classes.pending}>
          {file.type.startsWith("image/") ? <Preview file={file} /> : <IconFile size={20} aria-hidden />}
          <span className={classes.contextText}>
            <Text size="xs" fw={550} truncate title={file.name}>
              {file.name}
            </Text>
            <Text size="xs" c="dimmed">
              {byteSize(file.size, i18n.language)}
            </Text>
          </span>
          <CloseButton size="sm" onClick={() => onRemove(file)} aria-label={t("remove_file", { name: file.name })} />
        </li>
      ))}
    </ul>
  );
}

function Preview({ file }: { readonly file: File }) {
  const [url, setUrl] = useState<string>();
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setUrl(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return url === undefined ? null : <img className={classes.preview} src={url} alt="" />;
}
