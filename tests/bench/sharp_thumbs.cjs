// sharp_thumbs.cjs - the peer of bench_thumbs: node sharp_thumbs.cjs FOLDER-WITH-SHARP FILE COUNT OUT. Prints JSON.
const fs = require('node:fs');
const { createRequire } = require('node:module');

const [folder, file, count, out] = process.argv.slice(2);
const sharp = createRequire(`${folder}/`)('sharp');

async function main() {
  sharp.concurrency(1);
  sharp.cache(false);
  const data = fs.readFileSync(file);
  const before = process.cpuUsage();
  let last;
  for (let i = 0; i < Number(count); i++) {
    last = await sharp(data).resize({ width: 512 }).webp({ quality: 88, effort: 3 }).toBuffer();
  }
  const used = process.cpuUsage(before);
  fs.writeFileSync(out, last);
  const seconds = (used.user + used.system) / 1e6;
  console.log(JSON.stringify({ thumbs: Number(count), cpu_s: seconds, per_cpu_s: Number(count) / seconds }));
}

main();
