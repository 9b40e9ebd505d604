/** Counts by name with a bar each: who is connected with what, and as what. */

import { Progress, Stack, Text, Title } from "@mantine/core";
import { useId } from "react";
import { useTranslation } from "react-i18next";
import { type Share, sharesOf } from "../../service/admin/stats";
import classes from "./Admin.module.css";
import { figure } from "./format";

interface Props {
  readonly title: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly known: readonly string[];
  /** The text of a name; the name itself where there is none. */
  readonly prefix: "device" | "role";
}

export function Shares({ title, counts, known, prefix }: Props) {
  const { t, i18n } = useTranslation("admin");
  const heading = useId();
  const word = ({ name }: Share): string => t(`${prefix}.${name}`, { defaultValue: name });
  return (
    <Stack component="section" gap="sm" className={classes.card} aria-labelledby={heading}>
      <Title order={2} size="h4" id={heading}>
        {title}
      </Title>
      <ul className={classes.list}>
        {sharesOf(counts, known).map((share) => (
          <li key={share.name} className={classes.share}>
            <Text size="sm">{word(share)}</Text>
            {/* The number beside it says the same. */}
            <Progress value={share.part * 100} size="lg" aria-hidden />
            <Text size="sm" ta="right" fw={600} className={classes.numbers}>
              {figure(share.count, i18n.language)}
            </Text>
          </li>
        ))}
      </ul>
    </Stack>
  );
}
