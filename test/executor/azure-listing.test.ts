// Azure's answer to a listing, as its documentation shows it, with the names that XML makes difficult.
import { expect, test } from 'vitest';
import { decodeListing } from '../../executor/storage/azure-listing.ts';

const blob = (name: string, size = 3, attributes = ''): string =>
  `<Blob><Name${attributes}>${name}</Name><Properties><Creation-Time>Fri, 02 Jan 2026 00:00:00 GMT</Creation-Time>` +
  `<Last-Modified>Sat, 03 Jan 2026 00:00:00 GMT</Last-Modified><Etag>0x8</Etag><Content-Length>${size}</Content-Length>` +
  '<Content-MD5 /></Properties><OrMetadata /></Blob>';

const listing = (blobs: string, next: string): string =>
  '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://a.blob.core.windows.net/" ' +
  `ContainerName="b"><Prefix>p/</Prefix><Delimiter>/</Delimiter><Blobs>${blobs}` +
  `<BlobPrefix><Name>p/deeper/</Name></BlobPrefix></Blobs>${next}</EnumerationResults>`;

test('a page gives its objects, without the folders, and says where the next begins', () => {
  const page = decodeListing(listing(blob('p/a.snap', 12) + blob('p/b.snap'), '<NextMarker>2!8 &amp;=</NextMarker>'));
  expect(page.next).toBe('2!8 &=');
  expect(page.objects).toEqual([
    { key: 'p/a.snap', size: 12, modifiedAt: new Date('2026-01-03T00:00:00Z') },
    { key: 'p/b.snap', size: 3, modifiedAt: new Date('2026-01-03T00:00:00Z') },
  ]);
});

test.each(['<NextMarker />', '<NextMarker></NextMarker>', ''])('the last page ends with "%s"', (end) => {
  expect(decodeListing(listing('', end))).toEqual({ objects: [], next: '' });
});

test('names come back as they were written', () => {
  const names = ['p/a&amp;b&lt;c&gt;&quot;d&apos;', 'p/&#65;&#x1F600;', 'p/größe &amp;amp;'];
  const found = decodeListing(listing(names.map((name) => blob(name)).join(''), '')).objects.map(({ key }) => key);
  expect(found).toEqual(['p/a&b<c>"d\'', 'p/A😀', 'p/größe &amp;']);
});

test('a name that XML cannot hold comes percent-encoded', () => {
  expect(decodeListing(listing(blob('p/a%EF%BF%BEb', 3, ' Encoded="true"'), '')).objects[0]?.key).toBe('p/a\ufffeb');
});
