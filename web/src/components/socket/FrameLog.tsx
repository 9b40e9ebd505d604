/** The frames of the socket, in and out, as far as they are kept: filtered, held still, copied. */

import { Button, CopyButton, Group, SegmentedControl, Select, Switch, Text, TextInput } from "@mantine/core";
import { IconPlayerPause, IconPlayerPlay, IconSearch } from "@tabler/icons-react";
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { VList, type VListHandle } from "virtua";
import type { RecordedFrame } from "../../service/websocket/recorder";
import { FrameRow } from "./FrameRow";
import { actionsOf, asText, EVERYTHING, type FrameFilter, filtered } from "./frameFilter";
import { Panel } from "./Panel";
import classes from "./socket.module.css";

/** Nearer to the end than this counts as being there. */
const END_PX = 30;

interface Props {
  readonly frames: readonly RecordedFrame[];
  /** With those that are no longer kept. */
  readonly total: number;
  readonly onClear: () => void;
}

export function FrameLog({ frames, total, onClear }: Props) {
  const { t } = useTranslation("socket");
  const [filter, setFilter] = useState(EVERYTHING);
  /** What was there when somebody said stop; recording goes on. */
  const [held, setHeld] = useState<{ readonly frames: readonly RecordedFrame[]; readonly total: number }>();
  const source = held?.frames ?? frames;
  const shown = useMemo(() => filtered(source, filter), [source, filter]);
  const clear = () => {
    setHeld(undefined);
    onClear();
  };
  const actions = (
    <Group gap="xs">
      <Button
        size="compact-sm"
        variant="default"
        aria-pressed={held !== undefined}
        leftSection={held ? <IconPlayerPlay size={14} aria-hidden /> : <IconPlayerPause size={14} aria-hidden />}
        onClick={() => setHeld(held ? undefined : { frames, total })}
      >
        {held ? t("frames.resume", { count: total - held.total }) : t("frames.pause")}
      </Button>
      <CopyButton value={asText(shown)}>
        {({ copied, copy }) => (
          <Button size="compact-sm" variant="default" disabled={shown.length === 0} onClick={copy}>
            {copied ? t("frames.copied") : t("frames.copy_all")}
          </Button>
        )}
      </CopyButton>
      <Button size="compact-sm" variant="default" disabled={source.length === 0} onClick={clear}>
        {t("clear")}
      </Button>
    </Group>
  );
  return (
    <Panel title={t("frames.title")} actions={actions}>
      <Filters filter={filter} actions={actionsOf(source)} onChange={setFilter} />
      <Text size="sm" c="dimmed" my="xs" role="status">
        {t("frames.shown", { shown: shown.length, kept: source.length, total: held?.total ?? total })}
      </Text>
      <Frames frames={shown} />
    </Panel>
  );
}

interface FiltersProps {
  readonly filter: FrameFilter;
  readonly actions: readonly string[];
  readonly onChange: (filter: FrameFilter) => void;
}

function Filters({ filter, actions, onChange }: FiltersProps) {
  const { t } = useTranslation("socket");
  return (
    <Group gap="sm">
      <SegmentedControl
        aria-label={t("frames.direction")}
        value={filter.direction}
        onChange={(direction) => onChange({ ...filter, direction })}
        data={(["all", "in", "out"] as const).map((value) => ({ value, label: t(`frames.${value}`) }))}
      />
      <Select
        aria-label={t("frames.type")}
        placeholder={t("frames.type")}
        clearable
        clearButtonProps={{ "aria-label": t("frames.every_type") }}
        data={filter.action === undefined || actions.includes(filter.action) ? actions : [...actions, filter.action]}
        value={filter.action ?? null}
        onChange={(action) => onChange({ ...filter, action: action ?? undefined })}
        w={190}
      />
      <TextInput
        aria-label={t("frames.search")}
        placeholder={t("frames.search")}
        leftSection={<IconSearch size={16} aria-hidden />}
        value={filter.text}
        onChange={(event) => onChange({ ...filter, text: event.currentTarget.value })}
        className={classes.search}
      />
      <Switch
        label={t("frames.pings")}
        checked={filter.pings}
        onChange={(event) => onChange({ ...filter, pings: event.currentTarget.checked })}
      />
    </Group>
  );
}

/** Follows what comes as long as the end is in sight. */
function Frames({ frames }: { readonly frames: readonly RecordedFrame[] }) {
  const { t } = useTranslation("socket");
  const list = useRef<VListHandle>(null);
  const end = useRef(true);
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const toggle = useCallback((id: number) => setOpen((before) => toggled(before, id)), []);
  const last = frames.at(-1)?.id;

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new last frame is what this is about
  useLayoutEffect(() => {
    if (end.current) list.current?.scrollToIndex(frames.length - 1, { align: "end" });
  }, [last]);

  const look = () => {
    const { current } = list;
    if (current !== null) end.current = current.scrollSize - current.scrollOffset - current.viewportSize < END_PX;
  };
  if (frames.length === 0) return <Text className={classes.noFrames}>{t("frames.none")}</Text>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be reached by keyboard
    <section className={classes.frames} aria-label={t("frames.list")} tabIndex={0}>
      <VList ref={list} data={frames} onScroll={look} itemSize={36} tabIndex={-1}>
        {(frame) => <FrameRow key={frame.id} frame={frame} open={open.has(frame.id)} onToggle={toggle} />}
      </VList>
    </section>
  );
}

function toggled(ids: ReadonlySet<number>, id: number): ReadonlySet<number> {
  const next = new Set(ids);
  if (!next.delete(id)) next.add(id);
  return next;
}
