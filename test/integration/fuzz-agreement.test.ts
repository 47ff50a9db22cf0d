// Offline validation and a real API server over the objects of the fuzzer: what one takes the other takes, with the webhook and, as far as
// the CRD can say it, without. DBBACKUP_FUZZ_OBJECTS takes more of them than the thousand.
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Transport } from '../../controller/transport.ts';
import type { DatabaseBackup } from '../../crds/databasebackup.gen.ts';
import { schemaFindings } from '../../crds/rules/admission/schema-check.ts';
import { withoutEmpty } from '../../crds/rules/empty-fields.ts';
import type { Finding } from '../../crds/rules/validate.ts';
import { validate } from '../../crds/rules/validate.ts';
import { judge } from '../../plugin/validate/judge.ts';
import { askUpdate, namespace, type Opinion, opinionOf, sendable, store, together, told } from '../fuzz/agreement.ts';
import { caseOf, stored } from '../fuzz/cases.ts';
import { roundOf } from '../fuzz/chance.ts';
import { mutate } from '../fuzz/mutate.ts';
import { isError } from '../fuzz/object-checks.ts';
import { generated } from '../fuzz/objects.ts';
import { shrink } from '../fuzz/shrink.ts';
import {
  type AdmissionCluster,
  atAddress,
  eventually,
  isReady,
  type KubernetesObject,
  startAdmissionCluster,
} from '../webhook/processes.ts';
import { world } from './controller-world.ts';

const seed = Number(process.env['TEST_SEED'] ?? '20250327');
const count = Number(process.env['DBBACKUP_FUZZ_OBJECTS'] ?? '1000');
const patience = 60_000 + count * 60;

/**
 * What only the webhook and offline validation know, since CEL cannot say it. With the webhook there is no such list: no rule that either
 * of them runs needs the cluster. What the cluster alone knows is kept out of the objects: that the namespace exists, that the name is
 * free, and what the requester may do.
 */
const beyondCel: [field: RegExp, message: RegExp, reason: string][] = [
  [/^metadata\.(labels|annotations)/, /./, 'CEL is shown the name of an object and no other metadata'],
  [/^spec\.timeZone$/, /IANA/, 'CEL has no list of zones'],
  [/^spec\.schedule$/, /reversed|never fires/, 'needs the numbers of the fields'],
  [/\.recipients\[/, /checksum/, 'CEL cannot compute one'],
  [
    /^spec\.database\.host$/,
    /IPv6|loopback|link-local|unspecified|metadata/,
    'isIP() of CEL takes no IPv4 address in IPv6',
  ],
];

let api: AdmissionCluster;
let transport: Transport;
let rendered: KubernetesObject[];

beforeAll(async () => {
  api = await startAdmissionCluster('fuzz');
  rendered = await api.render('kustomize/base');
  const items = rendered.filter(({ kind }) => !kind.endsWith('WebhookConfiguration'));
  expect(await api.apply({ apiVersion: 'v1', kind: 'List', items })).toMatchObject({ ok: true });
  await api.kubectl(['wait', '--for=condition=Established', 'crd/databasebackups.dbbackup.io', '--timeout=30s']);
  await api.kubectl(['create', 'namespace', namespace]);
  ({ transport } = world(api.cluster.kubeconfig));
});

afterAll(() => api?.stop());

/** The first opinions that differ, each with the smallest object that shows it. */
async function differences(opinions: Opinion[], differs: (opinion: Opinion) => boolean): Promise<string> {
  const texts = opinions.filter(differs).map(async (opinion) => {
    const side = opinion.server === undefined;
    const smallest = await shrink(opinion.object, async (candidate) => {
      const object = sendable(candidate);
      const found = object === undefined ? undefined : await opinionOf(transport, object).catch(() => undefined);
      return found !== undefined && differs(found) && (found.server === undefined) === side;
    });
    return told(await opinionOf(transport, smallest));
  });
  return (await Promise.all(texts.slice(0, 3))).join('\n\n');
}

describe('without the webhook', () => {
  const known = ({ field, message }: Finding): boolean =>
    beyondCel.some(([ofField, ofMessage]) => ofField.test(field) && ofMessage.test(message));
  /** No mutation, or one: most pass the schema, so that CEL is asked. */
  const objects = Array.from({ length: count }, (_, round) => {
    const random = roundOf(seed + 1, round);
    const object = generated(random);
    if (random.chance(0.3)) mutate(object, random);
    return sendable(JSON.parse(JSON.stringify(object)));
  });
  let opinions: Opinion[];

  beforeAll(async () => {
    const schemaTakes = objects
      .filter((object) => object !== undefined)
      .filter((object) => schemaFindings(object).length === 0);
    opinions = await together(schemaTakes, (object) => opinionOf(transport, object));
  }, patience);

  test('many objects are asked about, some of which are taken, and many rules of the CRD speak', () => {
    expect(opinions.length).toBeGreaterThan(count / 3);
    expect(opinions.filter(({ server }) => server === undefined).length).toBeGreaterThan(count / 10);
    const rules = opinions.flatMap(
      ({ server = '' }) => server.match(/(?<=: )spec\.[a-zA-Z.[\]0-9]+ [a-z ]{8,20}/g) ?? [],
    );
    expect(new Set(rules).size).toBeGreaterThan(10);
  });

  test('what the CRD refuses, the rules refuse', async () => {
    expect(await differences(opinions, ({ server, offline }) => server !== undefined && offline.length === 0)).toBe('');
  });

  test('what the rules refuse, the CRD refuses, but for what CEL cannot say', async () => {
    const missed = ({ server, offline }: Opinion) => server === undefined && offline.some((finding) => !known(finding));
    expect(await differences(opinions, missed)).toBe('');
  });
});

describe('with the webhook', () => {
  beforeAll(async () => {
    const webhook = await api.startWebhook();
    for (const configuration of rendered.filter(({ kind }) => kind.endsWith('WebhookConfiguration')))
      expect(await api.apply(atAddress(configuration, webhook.port))).toMatchObject({ ok: true });
    await eventually('the webhook to be ready', async () => (await isReady(webhook)) || undefined);
    await api.untilAsked(namespace);
  });

  test('offline validation and the API server take and refuse the same objects', { timeout: patience }, async () => {
    const objects = Array.from({ length: count }, (_, round) => sendable(caseOf(seed, round).next));
    const opinions = await together(
      objects.filter((object) => object !== undefined),
      (object) => opinionOf(transport, object),
    );
    expect(opinions.filter(({ server }) => server === undefined).length).toBeGreaterThan(count / 20);
    expect(
      await differences(opinions, ({ server, offline }) => (server === undefined) !== (offline.length === 0)),
    ).toBe('');
  });

  test('they take and refuse the same updates', { timeout: patience }, async () => {
    const kept = await together(
      Array.from({ length: 10 }, (_, round) => round),
      (round) => {
        const { status: _, ...object } = stored(roundOf(seed, round));
        return store(transport, { ...object, metadata: { name: `kept-${round}`, namespace } });
      },
    );
    const rounds = Array.from({ length: count / 2 }, (_, round) => round);
    const different = await together(rounds, async (round) => {
      const random = roundOf(seed + 2, round);
      const old = random.pick(kept);
      const next = structuredClone(old);
      Reflect.deleteProperty(next.metadata, 'managedFields');
      for (let times = 1 + random.below(2); times > 0; times--) mutate(next.spec, random);
      return updateDifference(old, JSON.parse(JSON.stringify(next)));
    });
    expect(
      different
        .filter((text) => text !== undefined)
        .slice(0, 3)
        .join('\n\n'),
    ).toBe('');
  });
});

async function updateDifference(old: DatabaseBackup, next: DatabaseBackup): Promise<string | undefined> {
  const { refusal, stored: result } = await askUpdate(transport, old.metadata.name, next);
  const offline = [...judge(next, new Date()), ...validate(withoutEmpty(next).value, old)].filter(isError);
  // The webhook is not asked about a spec that stays as it is, and fields that are dropped come back with their defaults.
  const isUnchanged = result !== undefined && isDeepStrictEqual(result.spec, old.spec);
  if (isUnchanged || (refusal === undefined) === (offline.length === 0)) return undefined;
  return `${told({ object: { ...next }, offline, ...(refusal === undefined ? {} : { server: refusal }) })}\nstored: ${JSON.stringify(old)}`;
}
