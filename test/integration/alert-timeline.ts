// What is told of one backup over time, and the question whether an alert fires at a time, in the words of promtool.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { run } from '../rig/command.ts';

/** From which hour on a series has which value; undefined where it ends. */
export type Timeline = [fromHour: number, value: number | undefined][];

/** Series of the backup shop/orders by the name after dbbackup_, with further labels. Promtool's clock begins at 0. */
export type Series = Record<string, Timeline>;

/** Whether it fires, by the time such as 36h15m. */
export type Times = Record<string, boolean>;

const minutesOf = (time: string): number => {
  const [, hours = '0', minutes = '0'] = /^(?:(\d+)h)?(?:(\d+)m)?$/.exec(time) ?? [];
  return Number(hours) * 60 + Number(minutes);
};

/** The value at each step, as promtool reads it. */
function values(timeline: Timeline, step: number, end: number): string {
  const seen: string[] = [];
  for (let minute = 0; minute <= end; minute += step) {
    const [, value] = timeline.findLast(([from]) => from * 60 <= minute) ?? [];
    const before = seen.at(-1) ?? '_';
    // A series that a scrape no longer has is stale at once.
    seen.push(value === undefined ? (/\d/.test(before) ? 'stale' : '_') : String(value));
  }
  return seen.join(' ');
}

/** All series, told alike by each replica of the controller. */
export function input(series: Series, replicas: string[], step: number, end: number): object[] {
  return replicas.flatMap((pod) =>
    Object.entries(series).map(([name, timeline]) => {
      const [, metric, more] = /^(\w+)(?:\{(.*)\})?$/.exec(name) ?? [];
      const labels = ['namespace="shop"', 'name="orders"', 'engine="postgres"', 'storage="s3"', `pod="${pod}"`];
      if (more !== undefined) labels.push(more);
      return { series: `dbbackup_${metric}{${labels.join(',')}}`, values: values(timeline, step, end) };
    }),
  );
}

export interface Alert {
  name: string;
  severity: string;
  /** Minutes between two evaluations, and between two scrapes. */
  step: number;
}

/** A test of promtool: at these times the alert fires for shop/orders, or not, and for nobody else. */
export function firing({ name, severity, step }: Alert, series: Series, times: Times): object {
  const end = Math.max(...Object.keys(times).map(minutesOf));
  const labels = `{namespace="shop", name="orders", severity="${severity}"}`;
  return {
    interval: `${step}m`,
    input_series: input(series, ['a', 'b'], step, end),
    promql_expr_test: Object.entries(times).map(([eval_time, fires]) => ({
      expr: `count by (namespace, name, severity) (ALERTS{alertname="${name}",alertstate="firing"})`,
      eval_time,
      exp_samples: fires ? [{ labels, value: 1 }] : [],
    })),
  };
}

/** Asks promtool; a wrong expectation is an error with what it found. The rules are rules.yaml of the directory. */
export async function ask(promtool: string, directory: string, step: number, test: object): Promise<void> {
  const file = path.join(directory, 'test.yaml');
  const whole = { rule_files: ['rules.yaml'], evaluation_interval: `${step}m`, tests: [test] };
  await writeFile(file, JSON.stringify(whole));
  await run([promtool, 'test', 'rules', file]);
}
