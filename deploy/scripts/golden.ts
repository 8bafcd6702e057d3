/**
 * Holds the templates that are committed to what `cdk synth` makes, byte by byte; with `--write` makes them anew.
 * The CLI does it, so that what reads the templates in a deployment reads them here as well.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');
const STACKS = ['core', 'edge'];

function synth(folder: string): void {
  const cdk = join(ROOT, 'node_modules/aws-cdk/bin/cdk');
  const args = [cdk, 'synth', '--quiet', '--no-notices', '--output', folder];
  const { status, error } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  if (error !== undefined || status !== 0) {
    throw new Error(`cdk synth failed: ${error?.message ?? `exit code ${status}`}`);
  }
}

function main(write: boolean): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'eft-synth-'));
  try {
    synth(folder);
    return STACKS.flatMap((stack) => {
      const golden = join(ROOT, 'golden', `${stack}.template.json`);
      const made = readFileSync(join(folder, `${stack}.template.json`));
      if (write) {
        writeFileSync(golden, made);
      }
      return made.equals(readFileSync(golden)) ? [] : [`golden/${stack}.template.json is not what cdk synth makes: run \`npm run golden\` and look at the difference`];
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const complaints = main(process.argv.includes('--write'));
for (const complaint of complaints) {
  console.error(complaint);
}
process.exitCode = complaints.length === 0 ? 0 : 1;
