// Standard JSON in, standard JSON out: node solc.js FOLDER_OF_A_SOLC_PACKAGE
const solc = require(require("path").resolve(process.argv[2]));
const input = require("fs").readFileSync(0, "utf8");
process.stdout.write(solc.compile(input));
