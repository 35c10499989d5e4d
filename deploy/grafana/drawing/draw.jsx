// Draws one dashboard with Grafana's own components. `window.draw` gets what deploy/draw_dashboards.py
// asked of Prometheus; it asks for nothing itself.

import {
  EventBusSrv,
  ThemeContext,
  createTheme,
  dateTime,
  FieldType,
  getDisplayProcessor,
  getFieldDisplayName,
} from '@grafana/data';
import {
  BigValue,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  GlobalStyles,
  PanelChrome,
  PanelContextProvider,
  TimeSeries,
  VizLegend,
} from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { flushSync } from 'react-dom';

const WIDTH = 1600;
const COLUMN = WIDTH / 24;
const ROW = 38;
const GAP = 8;
const EVENTS = new EventBusSrv();
const theme = createTheme({ colors: { mode: 'dark' } });
document.body.style.background = theme.colors.background.canvas;

/** What Grafana's field settings say of one series: the defaults, then what overrides its name. */
function configOf(panel, name) {
  const config = structuredClone(panel.fieldConfig.defaults);
  for (const { matcher, properties } of panel.fieldConfig.overrides) {
    if (matcher.id === 'byName' && matcher.options === name) {
      for (const { id, value } of properties) {
        const path = id.split('.');
        const last = path.pop();
        path.reduce((inside, key) => (inside[key] ??= {}), config)[last] = value;
      }
    }
  }
  return config;
}

function fieldOf(panel, name, values, number) {
  const field = {
    name,
    type: FieldType.number,
    values,
    config: { ...configOf(panel, name), displayName: name },
    state: { seriesIndex: number, displayName: name },
  };
  field.display = getDisplayProcessor({ field, theme });
  return field;
}

function Lines({ panel, span, width, height }) {
  const range = { from: dateTime(span.from_ms), to: dateTime(span.to_ms) };
  const frames = panel.series.map(({ name, times_ms, values }, number) => ({
    refId: String(number),
    length: times_ms.length,
    fields: [
      { name: 'Time', type: FieldType.time, values: times_ms, config: {} },
      fieldOf(panel, name, values, number),
    ],
  }));
  if (frames.length === 0) {
    return <Nothing panel={panel} />;
  }
  return (
    <PanelContextProvider value={{ eventBus: EVENTS, eventsScope: 'none', sync: () => 0 }}>
      <TimeSeries
        frames={frames}
        timeRange={{ ...range, raw: range }}
        timeZone="utc"
        width={width}
        height={height}
        legend={panel.options.legend}
        options={panel.options}
      />
    </PanelContextProvider>
  );
}

function Figures({ panel, width, height }) {
  if (panel.series.length === 0) {
    return <Nothing panel={panel} />;
  }
  const each = width / panel.series.length;
  return (
    <div style={{ display: 'flex' }}>
      {panel.series.map(({ name, values }, number) => {
        const field = fieldOf(panel, name, values, number);
        const shown = field.display(values.findLast((value) => value !== null));
        const titled = panel.options.textMode === 'value_and_name';
        return (
          <BigValue
            key={name}
            theme={theme}
            width={each}
            height={height}
            value={{ ...shown, title: titled ? getFieldDisplayName(field) : undefined }}
            colorMode={BigValueColorMode.Value}
            graphMode={BigValueGraphMode.None}
            justifyMode={BigValueJustifyMode.Auto}
            textMode={titled ? BigValueTextMode.ValueAndName : BigValueTextMode.Value}
          />
        );
      })}
    </div>
  );
}

/** Bars are a panel of Grafana's server and no component: these have its colours, units and legend. */
function Bars({ panel, width, height }) {
  const { labels, columns } = panel.table;
  const fields = columns.map(({ name, values }, number) => fieldOf(panel, name, values, number));
  const numbers = fields.flatMap((field) => field.values.filter((value) => value !== null));
  const most = panel.fieldConfig.defaults.max ?? Math.max(...numbers, 1e-9) * 1.1;
  const plot = { left: 60, top: 8, width: width - 70, height: height - 76 };
  const group = plot.width / Math.max(labels.length, 1);
  const bar = (group * 0.75) / Math.max(fields.length, 1);
  const y = (value) => plot.top + plot.height * (1 - value / most);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => share * most);
  const text = { fill: theme.colors.text.primary, fontSize: 12 };
  return (
    <>
      <svg width={width} height={height - 34}>
        {ticks.map((tick) => (
          <g key={tick}>
            <line x1={plot.left} x2={plot.left + plot.width} y1={y(tick)} y2={y(tick)} stroke={theme.colors.border.weak} />
            <text x={plot.left - 6} y={y(tick) + 4} textAnchor="end" {...text}>
              {shownText(fields[0], tick)}
            </text>
          </g>
        ))}
        {labels.map((label, place) => (
          <g key={label}>
            {fields.map((field, number) => {
              const top = y(field.values[place] ?? 0);
              return (
                <rect
                  key={field.name}
                  x={plot.left + group * (place + 0.125) + bar * number}
                  y={top}
                  width={bar * 0.9}
                  height={plot.top + plot.height - top}
                  fill={colorOf(field)}
                  fillOpacity={0.8}
                />
              );
            })}
            <text x={plot.left + group * (place + 0.5)} y={plot.top + plot.height + 18} textAnchor="middle" {...text}>
              {label}
            </text>
          </g>
        ))}
      </svg>
      <VizLegend
        placement="bottom"
        displayMode="list"
        items={fields.map((field) => ({ label: field.name, color: colorOf(field), yAxis: 1 }))}
      />
    </>
  );
}

/** Of the classic palette, by the place of the series. */
function colorOf(field) {
  const { palette, getColorByName } = theme.visualization;
  return getColorByName(palette[field.state.seriesIndex % palette.length]);
}

function shownText(field, value) {
  const { prefix = '', text, suffix = '' } = field.display(value);
  return `${prefix}${text}${suffix}`;
}

function Rows({ panel }) {
  const { labels, columns } = panel.table;
  const fields = columns.map(({ name, values }, number) => fieldOf(panel, name, values, number));
  const cell = { borderBottom: `1px solid ${theme.colors.border.weak}`, padding: '6px 10px', textAlign: 'left' };
  return (
    <table style={{ width: '100%', borderCollapse: 'collapse' }}>
      <thead>
        <tr>
          {['label', ...fields.map((field) => field.name)].map((name) => (
            <th key={name} style={{ ...cell, color: theme.colors.primary.text }}>
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {labels.map((label, place) => (
          <tr key={label}>
            <td style={cell}>{label}</td>
            {fields.map((field) => (
              <td key={field.name} style={cell}>
                {shownText(field, field.values[place])}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Nothing({ panel }) {
  const text = panel.fieldConfig.defaults.noValue ?? 'No data';
  return <div style={{ color: theme.colors.text.secondary, textAlign: 'center', paddingTop: 40 }}>{text}</div>;
}

const KINDS = { timeseries: Lines, stat: Figures, barchart: Bars, table: Rows };

function Panel({ panel, span }) {
  const { x, y, w, h } = panel.gridPos;
  const place = { position: 'absolute', left: x * COLUMN, top: y * ROW };
  if (panel.type === 'row') {
    return <div style={{ ...place, padding: 8, color: theme.colors.text.primary }}>⌄ {panel.title}</div>;
  }
  const Kind = KINDS[panel.type];
  return (
    <div style={place}>
      <PanelChrome title={panel.title} width={w * COLUMN - GAP} height={h * ROW - GAP} padding="md">
        {(width, height) => <Kind panel={panel} span={span} width={width} height={height} />}
      </PanelChrome>
    </div>
  );
}

window.draw = (dashboard) => {
  const bottom = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h));
  const chosen = Object.entries(dashboard.variables).map(([name, value]) => `${name}: ${value}`);
  const root = document.getElementById('root');
  flushSync(() =>
    createRoot(root).render(
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        <div style={{ padding: 12, color: theme.colors.text.primary }}>
          <span style={{ fontSize: 20 }}>{dashboard.title}</span>
          <span style={{ marginLeft: 24, color: theme.colors.text.secondary }}>{chosen.join('  ')}</span>
        </div>
        <div style={{ position: 'relative', width: WIDTH, height: bottom * ROW, margin: 4 }}>
          {dashboard.panels.map((panel) => (
            <Panel key={panel.id} panel={panel} span={dashboard.span} />
          ))}
        </div>
      </ThemeContext.Provider>
    )
  );
};
