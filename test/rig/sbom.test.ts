// The bill of materials: who looks into an image finds everything that is in it, by names that scanners know.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { build } from '../../build.ts';
import { debianComponents, nodeComponent, npmComponent, spdx } from './images/sbom.ts';

test('a bill names each component once, with version and package URL, and is the same when made twice', () => {
  const components = [npmComponent({ name: '@aws-sdk/client-s3', version: '3.1.0' }), nodeComponent('24.1.0')];
  const text = spdx('dbbackup-executor', '1.0.0', components);
  expect(spdx('dbbackup-executor', '1.0.0', [...components].reverse())).toBe(text);
  const { spdxVersion, packages, relationships } = JSON.parse(text) as {
    spdxVersion: string;
    packages: { SPDXID: string; name: string; externalRefs?: { referenceLocator: string }[] }[];
    relationships: { relatedSpdxElement: string }[];
  };
  expect(spdxVersion).toBe('SPDX-2.3');
  expect(packages.flatMap(({ externalRefs = [] }) => externalRefs.map((ref) => ref.referenceLocator))).toEqual([
    'pkg:generic/node@24.1.0',
    'pkg:npm/%40aws-sdk/client-s3@3.1.0',
  ]);
  expect(relationships.map((one) => one.relatedSpdxElement)).toEqual(packages.slice(1).map(({ SPDXID }) => SPDXID));
});

test('what an executable is linked to is named by its Debian package', async () => {
  const [found] = await debianComponents(['/bin/sh']);
  expect(found?.purl).toMatch(/^pkg:deb\/debian\/dash@\d/);
  await expect(debianComponents([process.execPath])).rejects.toThrow('dpkg knows none');
});

test('a build lists the packages that are in the bundle, with their versions', { timeout: 120_000 }, async () => {
  const outdir = await mkdtemp(path.join(tmpdir(), 'dbbackup-build-'));
  try {
    await build({ outdir, log: () => {} });
    const text = await readFile(path.join(outdir, 'packages-executor.json'), 'utf8');
    const packages = JSON.parse(text) as { name: string; version: string }[];
    const names = packages.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['@aws-sdk/client-s3', 'age-encryption', 'yargs']));
    expect(new Set(names.map((name, index) => `${name}@${packages[index]?.version}`)).size).toBe(names.length);
    expect(packages.every(({ version }) => /^\d+\.\d+\.\d+/.test(version))).toBe(true);
    expect(names).not.toContain('vitest');
  } finally {
    await rm(outdir, { recursive: true, force: true });
  }
});
