/* Reads Content Credentials with a reader that is not ours (@trustnxt/c2pa-ts): JSON of what each named file says.
 *
 * That reader knows PNG, JPEG and MP4; of a WebP file the RIFF chunk is found here, and everything else is its work.
 * usage: node credentials_reader.mjs FILE...
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const load = (name) =>
  import(pathToFileURL(join(process.env.ATELIER_NODE_MODULES, "@trustnxt/c2pa-ts/dist", name, "index.js")));
const { PNG, JPEG, BMFF } = await load("asset");
const { SuperBox } = await load("jumbf");
const { ManifestStore } = await load("manifest");
for (const brand of ["isom", "iso2", "mp41", "mp42"]) BMFF.canReadBrands.add(brand); // it asks for pictures alone

class WebP {
  static canRead(data) {
    return Buffer.from(data).subarray(0, 4).equals(Buffer.from("RIFF")) && Buffer.from(data).subarray(8, 12).equals(Buffer.from("WEBP"));
  }
  constructor(data) {
    this.data = data;
  }
  getManifestJUMBF() {
    const view = Buffer.from(this.data);
    for (let at = 12; at + 8 <= view.length; ) {
      const length = view.readUInt32LE(at + 4);
      if (view.toString("latin1", at, at + 4) === "C2PA") return this.data.subarray(at + 8, at + 8 + length);
      at += 8 + length + (length & 1);
    }
    return undefined;
  }
  getDataLength() {
    return this.data.length;
  }
  async getDataRange(start = 0, length = this.data.length - start) {
    return this.data.subarray(start, start + length);
  }
}

async function look(path) {
  const data = new Uint8Array(readFileSync(path));
  const Kind = [PNG, JPEG, WebP, BMFF].find((kind) => kind.canRead(data));
  if (!Kind) return { found: false };
  const asset = new Kind(data);
  const jumbf = asset.getManifestJUMBF();
  if (!jumbf) return { found: false };
  const store = ManifestStore.read(SuperBox.fromBuffer(jumbf));
  const result = await store.validate(asset);
  const manifest = store.getActiveManifest();
  const labels = manifest.assertions.assertions.map((one) => one.fullLabel ?? one.label);
  const actions = manifest.assertions.assertions.flatMap((one) => one.actions ?? []);
  return {
    found: true, bytes: jumbf.length, valid: result.isValid, manifests: store.manifests.length, labels,
    failed: result.statusEntries.filter((one) => !one.success).map((one) => one.code),
    passed: result.statusEntries.filter((one) => one.success).map((one) => one.code),
    generator: `${manifest.claim.claimGeneratorName} ${manifest.claim.claimGeneratorVersion}`,
    claim: manifest.claim.sourceBox?.descriptionBox?.label,
    actions: actions.map((one) => ({ action: one.action, type: one.digitalSourceType?.split("/").pop() })),
    text: Buffer.from(jumbf).toString("latin1"),
  };
}

const found = [];
for (const path of process.argv.slice(2)) {
  try {
    found.push(await look(path));
  } catch (error) {
    found.push({ found: true, valid: false, failed: [String(error)] });
  }
}
process.stdout.write(JSON.stringify(found));
