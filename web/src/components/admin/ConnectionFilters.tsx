/** What narrows the list of connections: user, device, role, edge. */

import { NativeSelect, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { type ConnectionFilter, DEVICE_TYPES, HUMAN_ROLES } from "../../service/admin/model";
import classes from "./Admin.module.css";

interface Props {
  readonly filter: ConnectionFilter;
  readonly edges: readonly string[];
  readonly onChange: (filter: ConnectionFilter) => void;
}

export function ConnectionFilters({ filter, edges, onChange }: Props) {
  const { t } = useTranslation("admin");
  const any = { value: "", label: t("connections.any") };
  // An edge that is gone meanwhile stays chosen until somebody chooses another.
  const named = filter.edgeId === undefined || edges.includes(filter.edgeId) ? edges : [...edges, filter.edgeId];
  return (
    <search className={classes.filters}>
      <TextInput
        label={t("connections.user")}
        value={filter.userId ?? ""}
        onChange={({ currentTarget: { value } }) => onChange({ ...filter, userId: value.trim() || undefined })}
        autoCapitalize="none"
        autoComplete="off"
        spellCheck={false}
        maxLength={64}
      />
      <NativeSelect
        label={t("connections.device")}
        value={filter.deviceType ?? ""}
        onChange={({ currentTarget: { value } }) =>
          onChange({ ...filter, deviceType: DEVICE_TYPES.find((one) => one === value) })
        }
        data={[any, ...DEVICE_TYPES.map((value) => ({ value, label: t(`device.${value}`) }))]}
      />
      <NativeSelect
        label={t("connections.role")}
        value={filter.role ?? ""}
        onChange={({ currentTarget: { value } }) =>
          onChange({ ...filter, role: HUMAN_ROLES.find((one) => one === value) })
        }
        data={[any, ...HUMAN_ROLES.map((value) => ({ value, label: t(`role.${value}`) }))]}
      />
      <NativeSelect
        label={t("connections.edge")}
        value={filter.edgeId ?? ""}
        onChange={({ currentTarget: { value } }) => onChange({ ...filter, edgeId: value || undefined })}
        data={[any, ...named.map((value) => ({ value, label: value }))]}
      />
    </search>
  );
}
