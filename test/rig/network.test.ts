// The addresses a rig takes: private, its own, and away from what the machine uses.
import { expect, it } from 'vitest';
import { freeNetwork, overlaps } from './cluster/network.ts';

it('takes the first range nobody has a route to', () => {
  expect(freeNetwork('one', ['192.168.1.0/24'])).toMatchObject({ host: '10.200.0.1', apiService: '10.200.128.1' });
});

it('goes past the range of another rig', () => {
  expect(freeNetwork('two', ['10.200.0.0/30', '10.201.64.0/18'])).toMatchObject({ node: '10.202.0.2' });
});

it('says what to do when a route takes all ranges', () => {
  expect(() => freeNetwork('three', ['10.0.0.0/8'])).toThrow('stop a rig or a VPN');
});

it("names the device so that it fits and is the rig's own", () => {
  expect(freeNetwork('0123abcd', []).device).toBe('dbb0123abcd');
});

it.each([
  ['10.200.0.0/16', '10.200.64.0/18', true],
  ['10.200.0.0/16', '10.0.0.0/8', true],
  ['10.200.0.0/16', '10.200.0.1', true],
  ['10.200.0.0/16', '10.201.0.0/16', false],
  ['10.200.0.0/16', '0.0.0.0/0', true],
])('knows whether %s meets %s: %s', (one, other, expected) => {
  expect(overlaps(one, other)).toBe(expected);
});
