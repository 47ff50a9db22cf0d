// Opens the storage that the task names. Each kind's code is loaded only when it is used.
import type { Run } from '../run.ts';
import type { Storage } from './storage.ts';

export async function openStorage(run: Run): Promise<Storage> {
  const { storage } = run.task;
  switch (storage.kind) {
    case 's3': {
      const { openS3 } = await import('./s3.ts');
      return openS3(run, storage);
    }
    case 'gcs': {
      const { openGcs } = await import('./gcs.ts');
      return openGcs(run, storage);
    }
    case 'azure': {
      const { openAzure } = await import('./azure.ts');
      return openAzure(run, storage);
    }
    case 'directory': {
      const { openDirectory } = await import('./directory.ts');
      return openDirectory(run.folders.volume, storage);
    }
  }
}
