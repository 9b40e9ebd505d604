/** What stands where nothing is. */

import { EmptyState } from "@mantine/core";
import type { IconMessageCircle } from "@tabler/icons-react";
import type { ReactNode } from "react";
import classes from "./MessageList.module.css";

interface Props {
  readonly icon: typeof IconMessageCircle;
  readonly title: string;
  readonly hint?: string;
  readonly children?: ReactNode;
}

export function Empty({ icon: Icon, title, hint, children }: Props) {
  return (
    <div className={classes.empty}>
      <EmptyState icon={<Icon size={36} stroke={1.5} aria-hidden />} title={title} description={hint}>
        {children}
      </EmptyState>
    </div>
  );
}
