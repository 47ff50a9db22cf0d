// The questions that docs/metrics.md has people ask Prometheus, answered from what the controller really tells it, scrape by scrape.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { metricsOf } from '../../controller/metrics.ts';
import type { Backup } from '../../controller/objects.ts';
import type { FinishedRun } from '../../controller/tally.ts';
import { backup } from '../controller/builders.ts';
import { promtool } from '../rig/promtool.ts';
import { ask } from './alert-timeline.ts';

let directory: string;
let checker: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'dbbackup-questions-'));
  checker = await promtool((line) => process.stderr.write(`[rig] ${line}\n`));
  await writeFile(path.join(directory, 'rules.yaml'), '{"groups": []}');
});

afterAll(() => rm(directory, { recursive: true, force: true }));

/** Each by what is said of it. */
async function questions(): Promise<Map<string, string>> {
  const [, block = ''] = /Useful questions:\n\n```\n(.*?)```/s.exec(await readFile('docs/metrics.md', 'utf8')) ?? [];
  const lines = [...block.matchAll(/^(.*?) +# (.*)$/gm)];
  return new Map(lines.map(([, question = '', said = '']) => [said, question]));
}

/** What ten minutes of scrapes see of a backup, one every 30 seconds. Runs end after the scrape of their number, a window is missed before the tenth. */
async function scraped(runs: Record<number, FinishedRun>): Promise<object[]> {
  let scrape = 0;
  const object = backup();
  const backups = new Map<string, Backup>([['shop/orders', object]]);
  const metrics = metricsOf({ backups }, { steady: () => scrape * 30_000 });
  const series = new Map<string, string[]>();
  for (; scrape <= 20; scrape++) {
    object.status = { missedWindows: scrape < 10 ? 0 : 1 };
    for (const [, name = '', value = ''] of (await metrics.registry.metrics()).matchAll(/^(dbbackup_.*\}) (\S+)$/gm)) {
      const values = series.get(name) ?? Array.from({ length: scrape }, () => '_');
      series.set(name, [...values, value]);
    }
    const run = runs[scrape];
    if (run !== undefined) metrics.runFinished(object, run);
  }
  return [...series].map(([name, values]) => ({ series: name, values: values.join(' ') }));
}

interface Answer {
  expr: string;
  /** Values by labels. */
  samples: Record<string, number>;
}

async function holdsTo(input_series: object[], answers: Answer[]): Promise<void> {
  await ask(checker, directory, 1, {
    interval: '30s',
    input_series,
    promql_expr_test: answers.map(({ expr, samples }) => ({
      expr,
      eval_time: '10m',
      exp_samples: Object.entries(samples).map(([labels, value]) => ({ labels, value })),
    })),
  });
}

test('the first failure of a kind, the first deletion and the first window that did not run are told', async () => {
  const asked = await questions();
  const question = (said: string): string => asked.get(said) ?? `"${said}" is not in docs/metrics.md`;
  const series = await scraped({
    3: { result: 'Failed', reason: 'StorageFull' },
    5: { result: 'Failed', reason: 'DumpFailed' },
    10: { result: 'Failed', reason: 'DumpFailed' },
    12: { result: 'Succeeded', durationSeconds: 20, deleted: 3 },
  });
  const labels = '{namespace="shop", name="orders"}';
  await holdsTo(series, [
    {
      expr: question('why runs failed this week'),
      samples: { '{reason="StorageFull"}': 1, '{reason="DumpFailed"}': 2 },
    },
    { expr: question('what retention deleted this week'), samples: { [labels]: 3 } },
    // Of that many Prometheus makes an estimate.
    {
      expr: `count by (namespace, name) (${question('where windows did not run since yesterday')})`,
      samples: { [labels]: 1 },
    },
    // The dump took 20 seconds: somewhere in the bucket from 10 to 60.
    { expr: `${question('how long to plan for')} > 10 < bool 60`, samples: { [labels]: 1 } },
  ]);
});

test('all questions are such that Prometheus understands them', async () => {
  const asked = [...(await questions()).values()];
  expect(asked.length).toBeGreaterThan(5);
  await holdsTo(
    [],
    asked.map((expr) => ({ expr: `count(${expr}) or vector(0)`, samples: { '{}': 0 } })),
  );
});
