// Where a store's name may lead. dns.lookup answers an address with itself, so no resolver is asked here.
import type { LookupOptions } from 'node:dns';
import { describe, expect, test } from 'vitest';
import { codeOf, reasonOfCode } from '../../executor/errors.ts';
import { guardedLookup } from '../../executor/storage/agents.ts';

const look = (host: string, options: LookupOptions = {}): Promise<unknown> =>
  new Promise((done, fail) =>
    guardedLookup(host, options, (error, address, family) =>
      error === null ? done(options.all === true ? address : [address, family]) : fail(error),
    ),
  );

describe('a name', () => {
  test.each(['10.1.2.3', '192.168.0.1', '52.218.0.1'])(
    'may lead to %s, told in both forms that sockets ask for',
    async (address) => {
      expect(await look(address)).toEqual([address, 4]);
      expect(await look(address, { all: true })).toEqual([{ address, family: 4 }]);
    },
  );

  test('may lead to an IPv6 address', async () => {
    expect(await look('fd12::7', { all: true })).toEqual([{ address: 'fd12::7', family: 6 }]);
  });

  test.each(['127.0.0.1', '169.254.169.254', '0.0.0.0', '100.100.100.200', '::1', 'fd00:ec2::254', '::ffff:127.0.0.1'])(
    'may not lead to %s, which is ConfigInvalid and not a failure that may pass',
    async (address) => {
      const error = await look(address, { all: true }).catch((cause: unknown) => cause);
      expect(error).toMatchObject({ reason: 'ConfigInvalid' });
      // Also when a library has wrapped it.
      expect(reasonOfCode(codeOf(new Error('connect', { cause: error })))).toBe('ConfigInvalid');
      expect(String(error)).toContain(`connect to the store "${address}"`);
    },
  );

  test('that is not known stays an error of the resolver', async () => {
    expect(codeOf(await look('no-such-store.invalid').catch((error: unknown) => error))).toMatch(
      /^(ENOTFOUND|EAI_AGAIN)$/,
    );
  });
});
