"""Builds the compiled engine where there is a compiler, and goes on without where there is none."""

import os
import sys

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

SOURCES = (
    *("module", "program", "weights", "codegen", "run", "crew"),
    *("isa", "isa_plain", "isa_avx2", "isa_avx512"),
)
HEADERS = (
    *("engine.h", "program.h", "codegen.h", "crew.h"),
    *("kernels.inc.c", "depthwise.inc.c", "maps.inc.c"),
)
FOLDER = "src/secateur_runtime/native_c"
NOTICE = (
    "secateur-runtime: the compiled engine could not be built (%s). It is installed without: "
    "networks run, many times more slowly, by numpy alone. GCC or Clang is needed."
)


class OptionalBuild(build_ext):
    """Builds what can be built; SECATEUR_RUNTIME_NATIVE=1 insists on it, =0 does without."""

    def run(self):
        """Build the extension, or say why there is none."""
        wanted = os.environ.get("SECATEUR_RUNTIME_NATIVE", "")
        if wanted == "0":
            self.give_up("SECATEUR_RUNTIME_NATIVE=0")
            return
        try:
            super().run()
        except Exception as error:  # compilers fail in many ways
            if wanted == "1":
                raise
            self.give_up(error)

    def give_up(self, why):
        """Go on without the extension."""
        sys.stderr.write(NOTICE % why + "\n")
        self.extensions = self.distribution.ext_modules = []


class Wheel(bdist_wheel):
    """A wheel without the extension is one for every machine, and is named so."""

    def run(self):
        """Build the extension before the wheel's name is made up."""
        self.run_command("build_ext")
        self.root_is_pure = not self.distribution.ext_modules
        super().run()


setup(
    cmdclass={"build_ext": OptionalBuild, "bdist_wheel": Wheel},
    ext_modules=[
        Extension(
            "secateur_runtime._native",
            [f"{FOLDER}/{name}.c" for name in SOURCES],
            depends=[f"{FOLDER}/{name}" for name in HEADERS],
            extra_compile_args=[
                *("-O3", "-std=gnu11", "-fvisibility=hidden", "-pthread", "-Wno-psabi"),
                *("-fno-math-errno", "-fno-trapping-math"),
            ],
            libraries=[] if sys.platform == "win32" else ["m"],
            extra_link_args=["-pthread"],
            py_limited_api=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
