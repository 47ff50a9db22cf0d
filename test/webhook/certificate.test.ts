// The certificate's life: what is made, when it is renewed, how replicas agree on one, and when a new one is served.
import { X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Configuration, type ConfigurationKind, type Configurations, publish } from '../../webhook/cabundle.ts';
import {
  authorityOf,
  type Certificate,
  certificateNames,
  isWhole,
  makeCertificate,
  needsRenewal,
  parseValidity,
} from '../../webhook/certificate.ts';
import { mayLoad, Rotation } from '../../webhook/rotation.ts';
import { agree, type CertificateStore, type StoredCertificate } from '../../webhook/secret.ts';

const day = 86_400_000;
const start = new Date('2026-03-01T12:00:00Z');
const daysLater = (days: number) => new Date(start.getTime() + days * day);
const names = ['dbbackup-webhook.dbbackup-system.svc', '127.0.0.1', '::1'];
const served = (certificate: Certificate) => ({ certificate, served: true });
const count = (bundle: string) => bundle.match(/BEGIN CERTIFICATE/g)?.length ?? 0;

let first: Certificate;
beforeAll(async () => {
  first = await makeCertificate(names, '', start);
});

/** A Secret in memory. `rival` runs between a read and the write that follows it. */
class Secret implements CertificateStore {
  stored: StoredCertificate | undefined;
  writes = 0;
  rival: (() => void) | undefined;

  async read(): Promise<StoredCertificate | undefined> {
    return this.stored;
  }
  async create(certificate: Certificate): Promise<boolean> {
    return this.stored === undefined || this.rival !== undefined ? this.replace(certificate, '') : false;
  }
  async replace(certificate: Certificate, resourceVersion: string): Promise<boolean> {
    const rival = this.rival;
    this.rival = undefined;
    rival?.();
    if ((this.stored?.resourceVersion ?? '') !== resourceVersion) return false;
    this.put(certificate);
    return true;
  }
  put(certificate: Certificate): void {
    this.stored = { certificate, resourceVersion: String(++this.writes) };
  }
}

/** The two configurations in memory. */
class Live implements Configurations {
  readonly kinds = new Map<ConfigurationKind, Configuration>();
  writes = 0;
  conflicts = 0;

  constructor(bundle = '') {
    this.set('MutatingWebhookConfiguration', bundle);
    this.set('ValidatingWebhookConfiguration', bundle);
  }
  set(kind: ConfigurationKind, caBundle: string): void {
    this.kinds.set(kind, { resourceVersion: '1', webhooks: [{ name: 'one.dbbackup.io', caBundle }] });
  }
  bundles(): string[] {
    return [...this.kinds.values()].flatMap(({ webhooks }) => webhooks.map(({ caBundle }) => caBundle));
  }
  async read(kind: ConfigurationKind): Promise<Configuration | undefined> {
    return this.kinds.get(kind);
  }
  async write(kind: ConfigurationKind, _version: string, _names: string[], bundle: string): Promise<boolean> {
    if (this.conflicts-- > 0) return false;
    this.writes++;
    this.set(kind, bundle);
    return true;
  }
}

describe('a certificate', () => {
  test('is signed by its own authority and speaks for its names', () => {
    expect(isWhole(first)).toBe(true);
    expect(certificateNames(first)).toEqual([names[0], '127.0.0.1', '0:0:0:0:0:0:0:1']);
    const authority = new X509Certificate(first.authorities);
    expect([authority.ca, authority.publicKey.asymmetricKeyDetails?.namedCurve]).toEqual([true, 'prime256v1']);
    const served = new X509Certificate(first.cert);
    expect([served.ca, served.keyUsage, served.checkIssued(authority)]).toEqual([false, ['1.3.6.1.5.5.7.3.1'], true]);
  });

  test('holds no key but its own', () => {
    const keys = `${first.cert}${first.key}${first.authorities}`.match(/PRIVATE KEY-----\n/g) ?? [];
    expect(keys).toHaveLength(2);
  });

  test('is renewed when a third of its life is left, and when it lacks a name', () => {
    expect(needsRenewal(first, names, start)).toBe(false);
    expect(needsRenewal(first, names, daysLater(59))).toBe(false);
    expect(needsRenewal(first, names, daysLater(61))).toBe(true);
    expect(needsRenewal(first, [...names, 'another.svc'], start)).toBe(true);
  });

  test('keeps the authorities that are still valid, newest first, five at most', async () => {
    const second = await makeCertificate(names, first.authorities, daysLater(61));
    expect(second.authorities.endsWith(first.authorities)).toBe(true);
    expect(authorityOf(second)).not.toBe(authorityOf(first));
    const third = await makeCertificate(names, second.authorities, daysLater(122));
    expect([count(third.authorities), third.authorities.includes(authorityOf(first))]).toEqual([2, false]);
    let hurried = first;
    for (let round = 0; round < 6; round++) hurried = await makeCertificate(names, hurried.authorities, start);
    expect([count(hurried.authorities), isWhole(hurried)]).toEqual([5, true]);
  });

  test('is not whole with another key, another authority, or rubbish', async () => {
    const other = await makeCertificate(names, '', start);
    expect(isWhole({ ...first, key: other.key })).toBe(false);
    expect(isWhole({ ...first, authorities: other.authorities })).toBe(false);
    expect(isWhole({ cert: '', key: '', authorities: '' })).toBe(false);
    expect(isWhole({ ...first, cert: 'rubbish' })).toBe(false);
  });
});

describe('replicas agree', () => {
  test('the first makes it, the second reads it', async () => {
    const secret = new Secret();
    const made = await agree(secret, names, undefined, start);
    expect(await agree(secret, names, undefined, start)).toBe(made);
    expect(secret.writes).toBe(1);
  });

  test('who loses the race to create takes the winner’s', async () => {
    const secret = new Secret();
    secret.rival = () => secret.put(first);
    expect(await agree(secret, names, undefined, start)).toBe(first);
  });

  test('who loses the race to renew takes the winner’s', async () => {
    const secret = new Secret();
    secret.put(first);
    const renewed = await makeCertificate(names, first.authorities, daysLater(61));
    secret.rival = () => secret.put(renewed);
    expect(await agree(secret, names, served(first), daysLater(61))).toBe(renewed);
  });

  test('a broken Secret is made anew, and what is served meanwhile stays trusted', async () => {
    const secret = new Secret();
    secret.put({ ...first, key: 'rubbish' });
    const made = await agree(secret, names, served(first), start);
    expect([isWhole(made), count(made.authorities)]).toEqual([true, 2]);
    expect(made.authorities).toContain(authorityOf(first));
  });

  test('one that waits to be served is put back into a Secret that is gone', async () => {
    const secret = new Secret();
    expect(await agree(secret, names, { certificate: first, served: false }, start)).toBe(first);
    expect(secret.stored?.certificate).toBe(first);
    expect(await agree(new Secret(), names, { certificate: first, served: false }, daysLater(61))).not.toBe(first);
  });

  test('two that ask for different names settle on both', async () => {
    const secret = new Secret();
    await agree(secret, ['a.svc'], undefined, start);
    await agree(secret, ['b.svc'], undefined, start);
    await agree(secret, ['a.svc'], undefined, start);
    expect([secret.writes, certificateNames((await secret.read())?.certificate ?? first)]).toEqual([
      2,
      ['b.svc', 'a.svc'],
    ]);
  });

  test('a Secret that changes all the time ends in an error, not in a loop', async () => {
    const secret = new Secret();
    secret.put({ ...first, key: 'rubbish' });
    secret.replace = async () => false;
    await expect(agree(secret, names, undefined, start)).rejects.toThrow('lost 5 races');
  });
});

describe('the bundle', () => {
  const bundle = () => first.authorities;
  const stateOf = async (...request: Parameters<typeof publish>) => (await publish(...request)).state;

  test('is written once into both configurations and then left alone', async () => {
    const live = new Live();
    expect([await stateOf(live, bundle(), start), await stateOf(live, bundle(), start)]).toEqual(['written', 'held']);
    expect([live.bundles(), live.writes]).toEqual([[bundle(), bundle()], 2]);
  });

  test('is put back where somebody took it away', async () => {
    const live = new Live(bundle());
    live.set('ValidatingWebhookConfiguration', '');
    expect([await stateOf(live, bundle(), start), live.bundles()]).toEqual(['written', [bundle(), bundle()]]);
  });

  test('only grows: a replica with old news takes nothing away from one with new', async () => {
    const second = await makeCertificate(names, first.authorities, daysLater(61));
    const live = new Live();
    await stateOf(live, second.authorities, daysLater(61));
    expect(await stateOf(live, first.authorities, daysLater(61))).toBe('held');
    expect(live.bundles().map(count)).toEqual([2, 2]);
  });

  test('loses what expired, what is no certificate and what is not ours', async () => {
    const second = await makeCertificate(names, '', daysLater(100));
    const rubbish = '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n';
    const live = new Live(`${first.authorities}${rubbish}${first.cert}`);
    expect(await stateOf(live, second.authorities, daysLater(100))).toBe('written');
    expect(live.bundles()).toEqual([second.authorities, second.authorities]);
  });

  test('is tried again after a conflict, not for ever', async () => {
    const live = new Live();
    live.conflicts = 1;
    expect(await stateOf(live, bundle(), start)).toBe('written');
    live.set('MutatingWebhookConfiguration', '');
    live.conflicts = 100;
    expect(await stateOf(live, bundle(), start)).toBe('unconfirmed');
  });

  test('is unconfirmed while a configuration is missing', async () => {
    const live = new Live();
    live.kinds.delete('ValidatingWebhookConfiguration');
    expect([await stateOf(live, bundle(), start), live.bundles()]).toEqual(['unconfirmed', [bundle()]]);
  });
});

describe('rotation', () => {
  function rotationOf(store: CertificateStore, configurations: Configurations) {
    const loads: Certificate[] = [];
    const clock = { now: start };
    const load = (certificate: Certificate) => loads.push(certificate);
    return { loads, clock, rotation: new Rotation({ store, configurations, names, load, now: () => clock.now }) };
  }

  test('is ready when the certificate is loaded and trusted by both configurations', async () => {
    const live = new Live();
    live.kinds.delete('MutatingWebhookConfiguration');
    const { loads, rotation } = rotationOf(new Secret(), live);
    expect([rotation.loaded, rotation.ready]).toEqual([false, false]);
    await rotation.round();
    expect([rotation.loaded, rotation.ready, loads.length]).toEqual([true, false, 1]);
    live.set('MutatingWebhookConfiguration', '');
    await rotation.round();
    expect([rotation.ready, loads.length]).toEqual([true, 1]);
  });

  test('trusts a renewed authority for a whole round before its certificate is served', async () => {
    const live = new Live();
    const { loads, clock, rotation } = rotationOf(new Secret(), live);
    await rotation.round();
    clock.now = daysLater(61);
    await rotation.round();
    expect([loads.length, live.bundles().map(count), rotation.ready]).toEqual([1, [2, 2], true]);
    await rotation.round();
    expect(loads.length).toBe(2);
    expect(live.bundles()[0]).toContain(authorityOf(loads[0] ?? first));
  });

  test('two replicas serve certificates that are trusted at every step of a renewal', async () => {
    const [secret, live] = [new Secret(), new Live()];
    const replicas = [rotationOf(secret, live), rotationOf(secret, live)];
    for (const time of [start, start, daysLater(61), daysLater(61), daysLater(61), daysLater(130), daysLater(130)]) {
      for (const { clock, rotation, loads } of replicas) {
        clock.now = time;
        await rotation.round();
        for (const other of [loads, ...replicas.map(({ loads }) => loads)]) {
          const served = other.at(-1);
          if (served !== undefined) for (const bundle of live.bundles()) expect(bundle).toContain(authorityOf(served));
        }
      }
    }
    expect(replicas.map(({ loads }) => loads.length)).toEqual([3, 3]);
  });

  test('stays ready while the API server does not answer', async () => {
    const secret = new Secret();
    const { rotation } = rotationOf(secret, new Live());
    await rotation.round();
    secret.read = () => Promise.reject(new Error('no answer'));
    await expect(rotation.round()).rejects.toThrow('no answer');
    expect(rotation.ready).toBe(true);
  });

  test('a replica that finds the renewed authority trusted already still waits for a round', async () => {
    const [secret, live] = [new Secret(), new Live()];
    const [one, other] = [rotationOf(secret, live), rotationOf(secret, live)];
    for (const { rotation } of [one, other]) await rotation.round();
    for (const { clock } of [one, other]) clock.now = daysLater(61);
    await one.rotation.round();
    await other.rotation.round();
    expect([one.loads.length, other.loads.length]).toEqual([1, 1]);
    await other.rotation.round();
    expect([one.loads.length, other.loads.length]).toEqual([1, 2]);
  });

  test('a Secret deleted at any moment, again and again, takes trust from no certificate that is served', async () => {
    // Before which of eight rounds, which the replicas have in turns, the Secret is deleted: one pattern in eight.
    for (let pattern = 1; pattern < 256; pattern += 8) {
      const [secret, live] = [new Secret(), new Live()];
      const replicas = [rotationOf(secret, live), rotationOf(secret, live)];
      for (let step = 0; step < 16; step++) {
        const replica = replicas[step % 2];
        if ((pattern >> (step % 8)) & 1) secret.stored = undefined;
        for (const { clock } of replicas) clock.now = new Date(start.getTime() + step * 5_000);
        await replica?.rotation.round();
        for (const { loads } of replicas)
          for (const bundle of live.bundles())
            if (loads.length > 0) expect(bundle).toContain(authorityOf(loads.at(-1) ?? first));
      }
    }
  });

  test('the first is served at once, and one after an expired one; all others wait', async () => {
    const other = await makeCertificate(names, '', start);
    expect(mayLoad(undefined, other, false, start)).toBe(true);
    expect(mayLoad(first, other, false, start)).toBe(false);
    expect(mayLoad(first, other, true, start)).toBe(true);
    expect(mayLoad(first, other, false, daysLater(91))).toBe(true);
    expect(mayLoad(first, first, true, start)).toBe(false);
  });
});

describe('the validity', () => {
  test.each([
    ['90d', 90 * day],
    ['12h', day / 2],
    ['100s', 100_000],
  ])('%s is a duration', (text, milliseconds) => {
    expect(parseValidity(text, 10_000)).toBe(milliseconds);
  });

  test.each(['', '90', 'd', '1w', '-1d', '1.5h', '999999d', '99s', '0d'])('%j is none, or too short', (text) => {
    expect(() => parseValidity(text, 10_000)).toThrow('read --certificate-validity');
  });

  test('a short one is renewed when a third is left, like a long one', async () => {
    const short = await makeCertificate(names, '', start, 30_000);
    const later = (seconds: number) => new Date(start.getTime() + seconds * 1000);
    expect([19, 21].map((seconds) => needsRenewal(short, names, later(seconds)))).toEqual([false, true]);
  });
});
