// The bill of materials of an image: Node, the libraries and programs taken from this machine, and the npm packages inside the bundle.
// Format: SPDX 2.3, as JSON (https://spdx.github.io/spdx-spec/v2.3/).
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { run } from '../command.ts';

export interface Component {
  name: string;
  version: string;
  /** Package URL (https://github.com/package-url/purl-spec), by which scanners look up what is known of it. */
  purl: string;
}

export const npmComponent = ({ name, version }: { name: string; version: string }): Component => ({
  name,
  version,
  purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
});

export const nodeComponent = (version: string): Component => ({
  name: 'node',
  version,
  purl: `pkg:generic/node@${version}`,
});

/** The Debian packages that files of this machine belong to. */
export async function debianComponents(files: readonly string[]): Promise<Component[]> {
  const found = new Map<string, Component>();
  for (const file of files) {
    // What is linked below /lib is listed below /usr/lib, or the other way round.
    const names = [...new Set([file, await realpath(file), file.replace(/^\/usr/, ''), `/usr${file}`])];
    const owner = (await Promise.all(names.map(ownerOf))).find((name) => name !== undefined);
    if (owner === undefined) throw new Error(`name the package of "${file}": dpkg knows none: install it by apt-get`);
    const version = (await run(['dpkg-query', '-W', '-f=${Version}', owner])).trim();
    const name = owner.split(':')[0] ?? owner;
    found.set(name, { name, version, purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}` });
  }
  return [...found.values()];
}

async function ownerOf(file: string): Promise<string | undefined> {
  const text = await run(['dpkg-query', '-S', file]).catch(() => '');
  return /^(?!diversion)([^:\s]+(?::[a-z0-9]+)?): /m.exec(text)?.[1];
}

/** @param subject what the image is, for example dbbackup-executor */
export function spdx(subject: string, version: string, components: readonly Component[]): string {
  const sorted = [...components].sort((a, b) => (a.purl < b.purl ? -1 : 1));
  const root = 'SPDXRef-image';
  const idOf = ({ purl }: Component) => `SPDXRef-${createHash('sha256').update(purl).digest('hex').slice(0, 16)}`;
  const document = {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `${subject}-${version}`,
    // The same content has the same name, so that an image made twice is the same.
    documentNamespace: `https://dbbackup.io/spdx/${subject}-${version}-${createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 16)}`,
    creationInfo: { created: '1970-01-01T00:00:00Z', creators: ['Organization: dbbackup'] },
    documentDescribes: [root],
    packages: [
      { SPDXID: root, name: subject, versionInfo: version, downloadLocation: 'NOASSERTION', filesAnalyzed: false },
      ...sorted.map((one) => ({
        SPDXID: idOf(one),
        name: one.name,
        versionInfo: one.version,
        downloadLocation: 'NOASSERTION',
        filesAnalyzed: false,
        externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: one.purl }],
      })),
    ],
    relationships: sorted.map((one) => ({
      spdxElementId: root,
      relationshipType: 'CONTAINS',
      relatedSpdxElement: idOf(one),
    })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
