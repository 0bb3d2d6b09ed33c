"""What real tools print when asked for their version: name, expected version, stdout, stderr."""

from typing import NamedTuple


class Output(NamedTuple):
    name: str
    version: str | None
    stdout: str
    stderr: str = ""


OUTPUTS = [
    # Java says it on standard error up to 8, and with `-version` ever after.
    Output(
        "java",
        "1.8.0_392",
        "",
        'java version "1.8.0_392"\nJava(TM) SE Runtime Environment (build 1.8.0_392-b08)\n'
        "Java HotSpot(TM) 64-Bit Server VM (build 25.392-b08, mixed mode)\n",
    ),
    Output(
        "java",
        "17.0.15",
        "",
        'openjdk version "17.0.15" 2025-04-15\n'
        "OpenJDK Runtime Environment (build 17.0.15+6-Debian-1deb12u1)\n"
        "OpenJDK 64-Bit Server VM (build 17.0.15+6-Debian-1deb12u1, mixed mode, sharing)\n",
    ),
    Output(
        "java",
        "17.0.15",
        "openjdk 17.0.15 2025-04-15\nOpenJDK Runtime Environment (build 17.0.15+6-Debian-1deb12u1)\n",
    ),
    Output(
        "java",
        "21",
        "openjdk 21 2023-09-19\n"
        "OpenJDK Runtime Environment GraalVM CE 21+35.1 (build 21+35-jvmci-23.1-b15)\n",
    ),
    Output(
        "java",
        "11.0.21",
        "",
        "Picked up JAVA_TOOL_OPTIONS: -Dfile.encoding=UTF8 -Xmx512m\n"
        'openjdk version "11.0.21" 2023-10-17\nOpenJDK Runtime Environment 18.9 (build 11.0.21+9)\n',
    ),
    Output("java", "21-ea", 'openjdk version "21-ea" 2023-09-19\n'),
    Output("javac", "17.0.15", "javac 17.0.15\n"),
    Output("javac", "1.8.0_392", "", "javac 1.8.0_392\n"),
    Output(
        "maven",
        "3.8.7",
        "\x1b[1mApache Maven 3.8.7\x1b[m\nMaven home: /usr/share/maven\n"
        "Java version: 17.0.15, vendor: Debian, runtime: /usr/lib/jvm/java-17-openjdk-amd64\n"
        "Default locale: en, platform encoding: UTF-8\n"
        'OS name: "linux", version: "6.18.44", arch: "amd64", family: "unix"\n\x1b[0m',
        "\x1b[0m",
    ),
    Output(
        "maven",
        "3.9.6",
        "Apache Maven 3.9.6 (bc0240f3c744dd6b6ec2920b3cd08dcc295161ae)\nMaven home: /opt/maven\n"
        "Java version: 21.0.1, vendor: Eclipse Adoptium\n",
    ),
    Output(
        "gradle",
        "8.5",
        "\n------------------------------------------------------------\nGradle 8.5\n"
        "------------------------------------------------------------\n\n"
        "Build time:   2023-11-29 14:08:57 UTC\nRevision:     28aca86a7180baa17117e0e5ba01d8ea9feca598\n\n"
        "Kotlin:       1.9.20\nGroovy:       3.0.17\nJVM:          17.0.9 (Eclipse Adoptium 17.0.9+9)\n",
    ),
    Output(
        "gradle",
        "8.10.2",
        "\nWelcome to Gradle 8.10.2!\n\nHere are the highlights of this release:\n - Support for Java 23\n\n"
        "------------------------------------------------------------\nGradle 8.10.2\n",
    ),
    Output("kotlin", "1.9.10", "", "info: kotlinc-jvm 1.9.10 (JRE 17.0.9+9)\n"),
    Output("scala", "3.3.1", "Scala code runner version 3.3.1 -- Copyright 2002-2023, LAMP/EPFL\n"),
    Output("sbt", "1.9.7", "sbt version in this project: 1.9.7\nsbt script version: 1.9.7\n"),
    Output("ant", "1.10.13", "Apache Ant(TM) version 1.10.13 compiled on January 4 2023\n"),
    Output("leiningen", "2.10.0", "Leiningen 2.10.0 on Java 17.0.9 OpenJDK 64-Bit Server VM\n"),
    Output("groovy", "4.0.15", "Groovy Version: 4.0.15 JVM: 17.0.9 Vendor: Debian OS: Linux\n"),
    Output("node", "22.1.0", "v22.1.0\n"),
    Output("node", "20.20.2", "v20.20.2\r\n"),
    Output("node", "18.19.0", "v18.19.0\n", "(node:4321) [DEP0040] DeprecationWarning: punycode\n"),
    Output("node", "23.0.0-nightly20240501a7d4b5a1c8", "v23.0.0-nightly20240501a7d4b5a1c8\n"),
    Output("npm", "11.19.1", "11.19.1\n"),
    Output(
        "npm",
        "9.2.0",
        "9.2.0\n",
        "npm WARN config global `--global`, `--local` are deprecated. Use `--location=global` instead.\n",
    ),
    Output("pnpm", "9.1.0", "9.1.0\n"),
    Output("yarn", "1.22.22", "1.22.22\n"),
    Output("yarn", "4.2.2", "4.2.2\n", "! Corepack is about to download yarn-4.2.2.tgz\n"),
    Output("bun", "1.1.8", "1.1.8\n"),
    Output(
        "deno",
        "1.43.1",
        "deno 1.43.1 (release, x86_64-unknown-linux-gnu)\nv8 12.4.254.12\ntypescript 5.4.3\n",
    ),
    Output("tsc", "5.4.5", "Version 5.4.5\n"),
    Output("python", "3.13.0rc1", "Python 3.13.0rc1\n"),
    Output("python", "3.12.4", "Python 3.12.4\n"),
    Output("python", "2.7.18", "", "Python 2.7.18\n"),
    Output("python", "3.11.7", "Python 3.11.7+\n"),
    Output("python", "3.9.18", "Python 3.9.18 :: Anaconda, Inc.\n"),
    Output(
        "pypy",
        "7.3.16",
        "Python 3.10.14 (39dc8d3c85a7, Apr 27 2024, 12:05:12)\n[PyPy 7.3.16 with GCC 10.2.1]\n",
    ),
    Output(
        "pip", "23.2.1", "pip 23.2.1 from /opt/python/3.11.7/lib/python3.11/site-packages/pip (python 3.11)\n"
    ),
    Output("uv", "0.4.18", "uv 0.4.18 (7b55e9790 2024-10-01)\n"),
    Output("poetry", "1.8.3", "Poetry (version 1.8.3)\n"),
    Output("poetry", "1.1.15", "Poetry version 1.1.15\n"),
    Output("pipenv", "2023.11.15", "pipenv, version 2023.11.15\n"),
    Output("conda", "24.4.0", "conda 24.4.0\n"),
    Output("pyenv", "2.6.30", "pyenv 2.6.30\n"),
    Output("go", "go1.24.2", "go version go1.24.2 linux/amd64\n"),
    Output("go", "go1.22", "go version go1.22 darwin/arm64\n"),
    Output("go", "go1.25rc1", "go version go1.25rc1 linux/amd64\n"),
    Output("rust", "1.95.0", "rustc 1.95.0 (59807616e 2026-04-14)\n"),
    Output("rust", "1.80.0-nightly", "rustc 1.80.0-nightly (ada5e2c7b 2024-05-31)\n"),
    Output("cargo", "1.95.0", "cargo 1.95.0 (f2d3ce0bd 2026-03-21)\n"),
    Output("rustfmt", "1.7.0-stable", "rustfmt 1.7.0-stable (129f3b9964 2024-06-10)\n"),
    Output(
        "rustup",
        "1.29.0",
        "rustup 1.29.0 (28d1352db 2026-03-05)\n",
        "info: This is the version for the rustup toolchain manager, not the rustc compiler.\n"
        "info: the currently active `rustc` version is `rustc 1.95.0 (59807616e 2026-04-14)`\n",
    ),
    Output("ruby", "3.3.1", "ruby 3.3.1 (2024-04-23 revision c56cd86388) [x86_64-linux]\n"),
    Output("ruby", "2.7.8p225", "ruby 2.7.8p225 (2023-03-30 revision 1f4d455848) [x86_64-linux]\n"),
    Output("ruby", "9.4.7.0", "jruby 9.4.7.0 (3.1.4) 2024-04-29 597ff08ac1 OpenJDK 64-Bit Server VM\n"),
    Output("bundler", "2.5.9", "Bundler version 2.5.9\n"),
    Output("gem", "3.5.9", "3.5.9\n"),
    Output("rake", "13.2.1", "rake, version 13.2.1\n"),
    Output("dotnet", "8.0.204", "8.0.204\n"),
    Output("dotnet", "9.0.100-rc.2.24474.11", "9.0.100-rc.2.24474.11\n"),
    Output(
        "php", "8.2.18", "PHP 8.2.18 (cli) (built: Apr 11 2024 22:07:45) (NTS)\nCopyright (c) The PHP Group\n"
    ),
    Output(
        "php",
        "8.1.28",
        'PHP Warning:  Module "curl" is already loaded in Unknown on line 0\n'
        "PHP 8.1.28 (cli) (built: Apr 11 2024 22:07:45)\n",
    ),
    Output(
        "composer",
        "2.7.6",
        "Composer version 2.7.6 2024-05-04 23:03:15\nPHP version 8.2.18 (/usr/bin/php8.2)\n",
    ),
    Output(
        "elixir",
        "1.16.2",
        "Erlang/OTP 26 [erts-14.2.4] [source] [64-bit] [smp:8:8]\n\n"
        "Elixir 1.16.2 (compiled with Erlang/OTP 26)\n",
    ),
    Output(
        "mix", "1.16.2", "Erlang/OTP 26 [erts-14.2.4] [64-bit]\n\nMix 1.16.2 (compiled with Erlang/OTP 26)\n"
    ),
    Output(
        "swift",
        "5.10",
        "swift-driver version: 1.90.11.1 Apple Swift version 5.10 (swiftlang-5.10.0.13 clang-1500.3.9.4)\n"
        "Target: arm64-apple-macosx14.0\n",
    ),
    Output("swift", "5.9.1", "Swift version 5.9.1 (swift-5.9.1-RELEASE)\nTarget: x86_64-unknown-linux-gnu\n"),
    Output("zig", "0.12.0", "0.12.0\n"),
    Output("ghc", "9.4.8", "The Glorious Glasgow Haskell Compilation System, version 9.4.8\n"),
    Output(
        "perl", "5.36.0", "\nThis is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64-linux-gnu\n"
    ),
    Output("lua", "5.4.6", "Lua 5.4.6  Copyright (C) 1994-2023 Lua.org, PUC-Rio\n"),
    Output("julia", "1.10.3", "julia version 1.10.3\n"),
    Output("docker", "28.2.2", "Docker version 28.2.2, build e6534b4\n"),
    Output("docker-compose", "2.27.0", "Docker Compose version v2.27.0\n"),
    Output(
        "docker-compose", "1.29.2", "docker-compose version 1.29.2, build unknown\ndocker-py version: 5.0.3\n"
    ),
    Output("podman", "4.3.1", "podman version 4.3.1\n"),
    Output(
        "kubectl",
        "1.32.4-dispatcher",
        "Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0\n",
    ),
    Output(
        "kubectl",
        "1.29.4",
        'clientVersion:\n  buildDate: "2024-04-16T15:06:46Z"\n  gitCommit: 55019c83b0\n'
        "  gitVersion: v1.29.4\n"
        '  goVersion: go1.21.9\n  major: "1"\n  minor: "29"\n',
    ),
    Output(
        "kubectl",
        "1.32.4",
        '{\n  "clientVersion": {\n    "major": "1",\n    "minor": "32",\n    "gitVersion": "v1.32.4",\n',
    ),
    Output(
        "helm",
        "3.14.4",
        'version.BuildInfo{Version:"v3.14.4", GitCommit:"81c902a123", '
        'GitTreeState:"clean", GoVersion:"go1.21.9"}\n',
    ),
    Output("kustomize", "4.5.7", "{kustomize/v4.5.7  2022-08-02T16:35:54Z  }\n"),
    Output(
        "minikube", "1.33.0", "minikube version: v1.33.0\ncommit: 86fc9d54fca63f295d8737c8eacdbb7987e89c67\n"
    ),
    Output("kind", "0.22.0", "kind v0.22.0 go1.20.13 linux/amd64\n"),
    Output(
        "terraform",
        "1.11.4",
        "Terraform v1.11.4\non linux_amd64\n",
        "\x1b[33m╷\x1b[0m\n│ Warning: Unable to open CLI configuration file\n",
    ),
    Output(
        "terraform",
        "1.5.7",
        "Terraform v1.5.7\non linux_amd64\n\nYour version of Terraform is out of date! 1.8.2\n",
    ),
    Output("vault", "1.16.2", "Vault v1.16.2 (c6e4c2d4dc3b0d57791881b087c026e2f75a87cb), built 2024-04-22\n"),
    Output("ansible", "2.14.3", "ansible [core 2.14.3]\n  config file = None\n  python version = 3.11.2\n"),
    Output("aws", "2.15.43", "aws-cli/2.15.43 Python/3.11.8 Linux/6.5.0 exe/x86_64.ubuntu.22\n"),
    Output("gcloud", "474.0.0", "Google Cloud SDK 474.0.0\nbq 2.1.4\ncore 2024.04.26\n"),
    Output("psql", "15.18", "psql (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
    Output("redis-server", "7.0.15", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n"),
    Output("redis-cli", "7.0.15", "redis-cli 7.0.15\n"),
    Output("mysql", "8.0.36", "mysql  Ver 8.0.36 for Linux on x86_64 (MySQL Community Server - GPL)\n"),
    Output(
        "mysql", "10.11.6-MariaDB", "mysql  Ver 15.1 Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)\n"
    ),
    Output("sqlite3", "3.40.1", "3.40.1 2022-12-28 14:03:47 df5c253c0b3dd24916e4ec7cf77d3db5294cc9fd\n"),
    Output("mongod", "7.0.9", 'db version v7.0.9\nBuild Info: {\n    "version": "7.0.9",\n'),
    Output("nginx", "1.22.1", "", "nginx version: nginx/1.22.1\n"),
    Output("git", "2.39.5", "git version 2.39.5\n"),
    Output("git", "2.39.3", "git version 2.39.3 (Apple Git-146)\n"),
    Output("git", "2.45.0.windows.1", "git version 2.45.0.windows.1\n"),
    Output(
        "make", "4.3", "GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu\nCopyright (C) 1988-2020 Free Software\n"
    ),
    Output(
        "cmake", "3.25.1", "cmake version 3.25.1\n\nCMake suite maintained by Kitware (kitware.com/cmake).\n"
    ),
    Output("ninja", "1.11.1", "1.11.1\n"),
    Output("gcc", "12.2.0", "gcc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022 Free Software\n"),
    Output("gcc", "12.1.0", "gcc (crosstool-NG 1.25.0.95_7622b49) 12.1.0\n"),
    Output("gcc-12", "12.2.0", "gcc-12 (Debian 12.2.0-14) 12.2.0\n"),
    Output(
        "clang", "15.0.0", "Apple clang version 15.0.0 (clang-1500.3.9.4)\nTarget: arm64-apple-darwin23.4.0\n"
    ),
    Output(
        "nvcc",
        "12.2",
        "nvcc: NVIDIA (R) Cuda compiler driver\nCopyright (c) 2005-2023 NVIDIA Corporation\n"
        "Built on Tue_Aug_15_22:02:13_PDT_2023\nCuda compilation tools, release 12.2, V12.2.140\n",
    ),
    Output(
        "bash", "5.2.15", "GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)\nCopyright (C) 2022\n"
    ),
    Output("curl", "7.88.1", "curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1 OpenSSL/3.0.19 zlib/1.2.13\n"),
    Output("jq", "jq-1.7.1", "jq-1.7.1\n"),
    Output("openssl", "3.0.19", "OpenSSL 3.0.19 27 Jan 2026 (Library: OpenSSL 3.0.19 27 Jan 2026)\n"),
    Output("tar", "1.34", "tar (GNU tar) 1.34\nCopyright (C) 2021 Free Software Foundation, Inc.\n"),
    Output("ssh", "OpenSSH_9.2p1", "", "OpenSSH_9.2p1 Debian-2+deb12u6, OpenSSL 3.0.19 27 Jan 2026\n"),
    Output("protoc", "3.21.12", "libprotoc 3.21.12\n"),
    Output("bzip2", "1.0.8", "", "bzip2, a block-sorting file compressor.  Version 1.0.8, 13-Jul-2019.\n"),
    Output("less", "590", "less 590 (GNU regular expressions)\nCopyright (C) 1984-2021  Mark Nudelman\n"),
    Output("tmux", "3.3a", "tmux 3.3a\n"),
    Output("systemctl", "252.38-1~deb12u1", "systemd 252 (252.38-1~deb12u1)\n+PAM +AUDIT +SELINUX\n"),
    Output("vim", "9.0", "VIM - Vi IMproved 9.0 (2022 Jun 28, compiled Feb 16 2025 05:23:41)\n"),
    Output("h2load", "1.52.0", "h2load nghttp2/1.52.0\n"),
    Output("k3s", "1.29.4+k3s1", "k3s version v1.29.4+k3s1 (94e29e2e)\ngo version go1.21.9\n"),
    Output("true", None, "", ""),
    Output("quiet", None, "no version here\n", "nor there\n"),
]
