// The cache before a server that does all that API servers, proxies and networks do: it ends up with what the server holds.
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { WatchedKind } from '../../controller/kube.ts';
import type { Patience } from '../../controller/patience.ts';
import type { Transport } from '../../controller/transport.ts';
import { Reflector, type ReflectorOptions } from '../../controller/watch.ts';
import { type Answer, bookmark, events, type Item, item, page, ScriptedApi, status } from './scripted-api.ts';

const kind: WatchedKind = { name: 'jobs', path: '/apis/batch/v1/jobs', labelSelector: 'managed=yes' };
const brief: Patience = {
  silence: 10_000,
  quickClose: 10,
  first: 10,
  most: 40,
  asked: 60_000,
  listEvery: 10,
  spread: 0,
  resync: 3_600_000,
};
const silent: Answer = events([], 'silence');
const expired = { type: 'ERROR', object: { kind: 'Status', code: 410, message: 'too old resource version' } };

let api: ScriptedApi;
let transport: Transport;
let stop: () => Promise<void>;

beforeEach(async () => {
  api = new ScriptedApi();
  transport = await api.start();
  stop = async () => undefined;
});
afterEach(async () => {
  await stop();
  api.stop();
});

function follow(
  changed: (object: Item) => void = () => undefined,
  patience: Partial<Patience> = {},
  options: ReflectorOptions<Item> = {},
): Reflector<Item> {
  const reflector = new Reflector<Item>(transport, kind, pino({ level: 'silent' }), changed, {
    ...options,
    patience: { ...brief, ...patience },
  });
  const running = reflector.run();
  stop = async () => {
    reflector.stop();
    await running;
  };
  return reflector;
}

const names = (reflector: Reflector<Item>): string[] => [...reflector.items.keys()].map((key) => key.slice(5)).sort();
const until = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 5_000, interval: 5 });

describe('a list', () => {
  test('is read page by page and then watched from its last version, bookmarks asked for', async () => {
    api
      .will('list', page([item('a')], '10', 'next'), page([item('b')], '11', 'more'), page([], '12'))
      .will('watch', silent);
    const told: string[] = [];
    const reflector = follow((object) => told.push(object.metadata.name));
    await reflector.synced;
    await until(() => expect(api.of('watch')).toHaveLength(1));
    expect(api.of('list').map(({ query }) => query.get('continue'))).toEqual([null, 'next', 'more']);
    for (const { query } of api.requests) expect(query.get('labelSelector')).toBe('managed=yes');
    const watch = api.of('watch')[0]?.query;
    expect(watch?.get('resourceVersion')).toBe('12');
    expect(watch?.get('allowWatchBookmarks')).toBe('true');
    expect(names(reflector)).toEqual(['a', 'b']);
    expect(told.sort()).toEqual(['a', 'b']);
  });

  test('shows nothing of itself before it is whole', async () => {
    let second: (() => void) | undefined;
    const held: Answer = (response, query) => {
      second = () => page([item('b')], '11')(response, query);
    };
    api.will('list', page([item('a')], '10', 'next'), held).will('watch', silent);
    let synced = false;
    const reflector = follow();
    void reflector.synced.then(() => (synced = true));
    await until(() => expect(second).toBeDefined());
    expect(names(reflector)).toEqual([]);
    expect(synced).toBe(false);
    second?.();
    await reflector.synced;
    expect(names(reflector)).toEqual(['a', 'b']);
  });

  test('whose token expires half way begins again', async () => {
    api.will('list', page([item('a')], '10', 'next'), status(410), page([item('c')], '20')).will('watch', silent);
    const reflector = follow();
    await reflector.synced;
    expect(names(reflector)).toEqual(['c']);
  });

  test.each([
    ['503', status(503)],
    ['500', status(500)],
    ['403', status(403)],
    ['a reset', (response) => void response.destroy()],
    ['rubbish', (response) => void response.end('<html>')],
    ['nothing', (response) => void response.end()],
  ] as [string, Answer][])('that is answered with %s is asked for again', async (_name, answer) => {
    api.will('list', answer, answer, page([item('a')], '10')).will('watch', silent);
    const reflector = follow();
    await reflector.synced;
    expect(names(reflector)).toEqual(['a']);
    expect(api.of('list')).toHaveLength(3);
  });
});

describe('a watch', () => {
  const opened = (change: object[], end?: 'close' | 'reset' | 'silence') =>
    api.will('list', page([item('a')], '10')).will('watch', events(change, end), silent);

  test('brings what is added, changed and deleted', async () => {
    opened([
      { type: 'ADDED', object: item('b', '11') },
      { type: 'MODIFIED', object: item('b', '12') },
      { type: 'DELETED', object: item('a', '13') },
    ]);
    const told: string[] = [];
    const reflector = follow(({ metadata }) => told.push(`${metadata.name} ${metadata.resourceVersion}`));
    await until(() => expect(told).toEqual(['a 1', 'b 11', 'b 12', 'a 13']));
    expect(names(reflector)).toEqual(['b']);
    expect(reflector.items.get('shop/b')?.metadata.resourceVersion).toBe('12');
  });

  test('that is closed goes on from its last event without a list', async () => {
    opened([{ type: 'ADDED', object: item('b', '11') }]);
    follow();
    await until(() => expect(api.of('watch').map(({ query }) => query.get('resourceVersion'))).toEqual(['10', '11']));
    expect(api.of('list')).toHaveLength(1);
  });

  test('that is closed goes on from a bookmark, of which nobody is told', async () => {
    opened([bookmark('40')]);
    let told = 0;
    const reflector = follow(() => (told += 1));
    await until(() => expect(api.of('watch').map(({ query }) => query.get('resourceVersion'))).toEqual(['10', '40']));
    expect(told).toBe(1);
    expect(names(reflector)).toEqual(['a']);
  });

  test.each([
    ['a version that is too old, as a status', status(410)],
    ['a version that is too old, as an event', events([expired])],
    ['503', status(503)],
    ['a reset after an event', events([{ type: 'ADDED', object: item('x', '11') }], 'reset')],
    ['rubbish', (response) => void response.end('rubbish\n')],
    ['an event of nothing', events([{ type: 'ADDED', object: {} }])],
  ] as [string, Answer][])('that is answered with %s is put right by a list', async (_name, answer) => {
    api
      .will('list', page([item('a'), item('old')], '10'), page([item('a'), item('b')], '20'))
      .will('watch', answer, silent);
    const told: string[] = [];
    const reflector = follow(({ metadata }) => told.push(metadata.name));
    await until(() => expect(names(reflector)).toEqual(['a', 'b']));
    await until(() => expect(api.of('watch').at(-1)?.query.get('resourceVersion')).toBe('20'));
    // What went away meanwhile is told too: its owner has to look.
    expect(told.filter((name) => name === 'old')).toHaveLength(2);
  });

  test('that goes silent is given up and put right by a list', async () => {
    api.will('list', page([item('a')], '10'), page([item('b')], '20')).will('watch', silent);
    const reflector = follow(undefined, { silence: 50 });
    await until(() => expect(names(reflector)).toEqual(['b']));
  });

  test('that has only bookmarks is not silent', async () => {
    const beats: Answer = (response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write(`${JSON.stringify(bookmark('11'))}\n`), 20);
      response.on('close', () => clearInterval(timer));
    };
    api.will('list', page([item('a')], '10')).will('watch', beats);
    // A machine that stands still for a second must not make it silent.
    follow(undefined, { silence: 2_000 });
    await new Promise((done) => setTimeout(done, 4_500));
    expect(api.requests).toHaveLength(2);
  });

  test('goes on though its handler throws', async () => {
    opened(
      [
        { type: 'ADDED', object: item('b', '11') },
        { type: 'ADDED', object: item('c', '12') },
      ],
      'silence',
    );
    const reflector = follow(() => {
      throw new Error('handler');
    });
    await until(() => expect(names(reflector)).toEqual(['a', 'b', 'c']));
    expect(api.requests).toHaveLength(2);
  });

  test('whose line comes in pieces is read whole', async () => {
    const line = Buffer.from(`${JSON.stringify({ type: 'ADDED', object: item('漢字', '11') })}\n`);
    const pieces: Answer = (response) => {
      response.writeHead(200);
      for (const [index, byte] of [...line].entries())
        setTimeout(() => response.write(Buffer.from([byte])), index / 10);
    };
    api.will('list', page([], '10')).will('watch', pieces);
    const reflector = follow();
    await until(() => expect(names(reflector)).toEqual(['漢字']));
  });
});

describe('what is cached', () => {
  test('is what is kept of an object, and that is told', async () => {
    const named = (object: Item): Item => ({ ...object, spec: { name: object.metadata.name } });
    api
      .will('list', page([item('a', '1', { spec: { large: true } })], '10'))
      .will('watch', events([{ type: 'ADDED', object: item('b', '11') }], 'silence'));
    const told: (object | undefined)[] = [];
    const reflector = follow((object) => told.push(object.spec), {}, { keep: named });
    await until(() => expect(told).toEqual([{ name: 'a' }, { name: 'b' }]));
    expect(reflector.items.get('shop/b')?.spec).toEqual({ name: 'b' });
  });

  test('is without the list of who wrote which field', async () => {
    const written = item('a');
    Object.assign(written.metadata, { managedFields: [{ manager: 'kubectl' }] });
    api.will('list', page([written], '10')).will('watch', silent);
    const reflector = follow();
    await reflector.synced;
    expect(reflector.items.get('shop/a')).toEqual(item('a'));
  });

  test('has one spec object for as long as the spec says the same, over events and lists', async () => {
    const orders = (version: string, generation = 1, host = 'db') =>
      item('a', version, { generation, spec: { database: { host } } });
    api
      .will('list', page([orders('1')], '10'), page([orders('12')], '20'))
      .will(
        'watch',
        events([{ type: 'MODIFIED', object: orders('11') }], 'reset'),
        events([{ type: 'MODIFIED', object: orders('21', 2, 'other') }], 'silence'),
      );
    const specs: (object | undefined)[] = [];
    const reflector = follow((object) => specs.push(object.spec));
    await until(() => expect(specs).toHaveLength(4));
    expect(new Set(specs.slice(0, 3)).size).toBe(1);
    expect(reflector.items.get('shop/a')?.spec).toEqual({ database: { host: 'other' } });
  });

  test('is told again from time to time without a question to the server', async () => {
    api.will('list', page([item('a'), item('b')], '10')).will('watch', silent);
    const told: string[] = [];
    follow(({ metadata }) => told.push(metadata.name), { resync: 20 });
    await until(() => expect(told.slice(0, 6)).toEqual(['a', 'b', 'a', 'b', 'a', 'b']));
    await until(() => expect(api.requests).toHaveLength(2));
  });
});

describe('the last sign of life', () => {
  test('is the last page, event or bookmark', async () => {
    const open: ((line: object) => void)[] = [];
    api.will('list', page([item('a')], '10')).will('watch', (response) => {
      response.writeHead(200);
      open.push((line) => void response.write(`${JSON.stringify(line)}\n`));
    });
    const reflector = follow();
    expect(reflector.lastEventAt).toBeUndefined();
    let last = Date.now();
    await reflector.synced;
    expect(reflector.lastEventAt).toBeGreaterThanOrEqual(last);
    await until(() => expect(open).toHaveLength(1));
    for (const line of [bookmark('11'), { type: 'MODIFIED', object: item('a', '12') }]) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      last = Date.now();
      open[0]?.(line);
      await until(() => expect(reflector.lastEventAt).toBeGreaterThanOrEqual(last));
    }
  });
});

describe('a server in trouble is not asked in a tight loop', () => {
  const gaps = (requests: readonly { at: number }[]): number[] =>
    requests.slice(1).map(({ at }, index) => at - (requests[index]?.at ?? 0));
  /** For what is counted from when a request is sent: it is seen when it comes, so one by one they may come closer, together they take as long. */
  const meanGap = (requests: readonly { at: number }[]): number =>
    gaps(requests).reduce((sum, gap) => sum + gap, 0) / (requests.length - 1);

  test('when it closes every watch at once', async () => {
    api.will('list', page([], '10')).will('watch', events([]));
    follow(undefined, { quickClose: 200 });
    await until(() => expect(api.of('watch').length).toBeGreaterThan(3));
    expect(meanGap(api.of('watch'))).toBeGreaterThan(100);
    expect(api.of('list')).toHaveLength(1);
  });

  test('when every watch is too old', async () => {
    api.will('list', page([], '10')).will('watch', status(410));
    follow(undefined, { first: 60, most: 60 });
    await until(() => expect(api.of('watch').length).toBeGreaterThan(4));
    for (const gap of gaps(api.of('watch'))) expect(gap).toBeGreaterThan(25);
  });

  test.each([
    ['watch', [page([], '10')], [events([expired])]],
    ['continue token', [page([item('a')], '10', 'next'), status(410)], [silent]],
  ] as [string, Answer[], Answer[]][])(
    'when every %s is too old: a list now and then',
    async (_name, lists, watches) => {
      let next = 0;
      api.will('list', (response, query) => lists[next++ % lists.length]?.(response, query)).will('watch', ...watches);
      follow(undefined, { first: 1, most: 1, listEvery: 200 });
      const begun = (): typeof api.requests => api.of('list').filter(({ query }) => !query.has('continue'));
      await until(() => expect(begun().length).toBeGreaterThan(4));
      expect(meanGap(begun())).toBeGreaterThan(100);
    },
  );

  test('when it comes back: the first list and each next watch come at a time by chance', async () => {
    const chance = vi.spyOn(Math, 'random').mockReturnValue(1);
    api.will('list', page([], '10')).will('watch', events([]));
    const began = performance.now();
    follow(undefined, { spread: 100, quickClose: 0 });
    await until(() => expect(api.of('watch').length).toBeGreaterThan(2));
    chance.mockRestore();
    expect((api.of('list')[0]?.at ?? 0) - began).toBeGreaterThan(90);
    for (const gap of gaps(api.of('watch'))) expect(gap).toBeGreaterThan(90);
  });

  test('when it asks to wait: it is given that time', async () => {
    api.will('list', status(429, { 'Retry-After': '1' }), page([], '10')).will('watch', silent);
    await follow().synced;
    expect(gaps(api.of('list'))[0]).toBeGreaterThan(950);
  });

  test.each(['0', '-5', 'soon', ''])('when it asks to wait for %j seconds', async (wait) => {
    api.will('list', status(503, { 'Retry-After': wait })).will('watch', silent);
    follow(undefined, { first: 60, most: 60 });
    await until(() => expect(api.of('list').length).toBeGreaterThan(3));
    for (const gap of gaps(api.of('list'))) expect(gap).toBeGreaterThan(25);
  });

  test('when it asks to wait for years: it is asked within reason', async () => {
    api.will('list', status(503, { 'Retry-After': '999999999' }), page([], '10')).will('watch', silent);
    await follow(undefined, { asked: 30 }).synced;
  });
});

describe('stop', () => {
  const ends = async (): Promise<void> => {
    await stop();
    const asked = api.requests.length;
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(api.requests).toHaveLength(asked);
  };

  test('ends a list that is never answered', async () => {
    api.will('list', () => undefined);
    follow();
    await until(() => expect(api.requests).toHaveLength(1));
    await ends();
  });

  test('ends a watch', async () => {
    api.will('list', page([], '10')).will('watch', silent);
    follow();
    await until(() => expect(api.of('watch')).toHaveLength(1));
    await ends();
  });

  test('ends a wait after a failure', async () => {
    api.will('list', status(503));
    follow(undefined, { first: 100_000, most: 100_000 });
    await until(() => expect(api.requests).toHaveLength(1));
    await ends();
  });
});
