// What Grafana takes a dashboard for: the types of its own schema, with panels of the kinds that
// we draw. JSON has texts where the schema has enumerations.

import type { Dashboard, FieldConfigSource, Panel, RowPanel } from "@grafana/schema";
import type * as bars from "@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen";
import type * as stats from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as tables from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as series from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Plain<T> = T extends string
  ? `${T}`
  : T extends (infer Element)[]
    ? Plain<Element>[]
    : T extends object
      ? { [Key in keyof T]: Plain<T[Key]> }
      : T;

type Fields<Custom> = Omit<FieldConfigSource, "defaults"> & {
  defaults: Omit<FieldConfigSource["defaults"], "custom"> & { custom?: Partial<Custom> };
};

type Of<Kind extends string, Options, Custom> = Omit<Panel, "type" | "options" | "fieldConfig"> & {
  type: Kind;
  gridPos: NonNullable<Panel["gridPos"]>;
  options: Partial<Options>;
  fieldConfig: Fields<Custom>;
};

type Drawn =
  | Of<"barchart", bars.Options, bars.FieldConfig>
  | Of<"stat", stats.Options, object>
  | Of<"table", tables.Options, tables.FieldConfig>
  | Of<"timeseries", series.Options, series.FieldConfig>;

export type Shown = Plain<Omit<Dashboard, "panels"> & { panels: (Drawn | RowPanel)[] }>;
